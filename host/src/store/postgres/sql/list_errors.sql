SELECT endpoint, kind, tenant, count, first_at, last_at, last_delivery, last_message FROM errors
WHERE ($1::text IS NULL OR tenant = $1) AND ($2::uuid IS NULL OR endpoint = $2)
    AND ($3::bigint IS NULL OR last_at >= $3)
    AND ($4::bigint IS NULL OR (last_at, endpoint, kind) < ($4, $5::uuid, $6::text COLLATE "C"))
ORDER BY last_at DESC, endpoint DESC, kind DESC LIMIT $7
