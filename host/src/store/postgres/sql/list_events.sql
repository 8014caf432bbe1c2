SELECT sequence, row FROM events
WHERE sequence < $1 AND sequence >= $8 AND ($2::text IS NULL OR tenant = $2) AND ($3::text IS NULL OR event_type = $3)
    AND ($4::text IS NULL OR $4 = ANY (channels))
    AND ($5::bigint IS NULL OR accepted_at >= $5) AND ($6::bigint IS NULL OR accepted_at < $6)
ORDER BY sequence DESC LIMIT $7
