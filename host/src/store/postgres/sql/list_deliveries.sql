SELECT place, due, row FROM (
    (
        SELECT place, due, row FROM queue
        WHERE place < $1 AND place >= $2 AND ($3::text IS NULL OR tenant = $3)
            AND ($4::uuid IS NULL OR endpoint = $4) AND ($5::text IS NULL OR event_type = $5)
            AND ($6::bigint IS NULL OR created_at >= $6) AND ($7::bigint IS NULL OR created_at < $7)
            AND ($8::smallint IS NULL OR $8 = 0)
        ORDER BY place DESC LIMIT $9
    )
    UNION ALL
    (
        SELECT place, NULL, row FROM deliveries
        WHERE place < $1 AND place >= $2 AND ($3::text IS NULL OR tenant = $3)
            AND ($4::uuid IS NULL OR endpoint = $4) AND ($5::text IS NULL OR event_type = $5)
            AND ($6::bigint IS NULL OR created_at >= $6) AND ($7::bigint IS NULL OR created_at < $7)
            AND ($8::smallint IS NULL OR state = $8)
        ORDER BY place DESC LIMIT $9
    )
) AS found
ORDER BY place DESC LIMIT $9
