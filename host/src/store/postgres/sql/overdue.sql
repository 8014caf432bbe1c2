WITH RECURSIVE lanes AS (
    (SELECT endpoint FROM queue ORDER BY endpoint, created_at LIMIT 1)
    UNION ALL
    SELECT next.endpoint FROM lanes CROSS JOIN LATERAL (
        SELECT endpoint FROM queue WHERE endpoint > lanes.endpoint ORDER BY endpoint, created_at LIMIT 1
    ) AS next
)
SELECT old.place, old.due, old.row
FROM lanes CROSS JOIN LATERAL (
    (
        SELECT place, due, row FROM queue
        WHERE queue.endpoint = lanes.endpoint AND turn IS NULL AND due < $1 AND leased_until IS NULL
        ORDER BY due, place LIMIT $2
    )
    UNION ALL
    (
        SELECT place, due, row FROM (
            SELECT place, due, row FROM queue
            WHERE queue.endpoint = lanes.endpoint AND turn IS NOT NULL
            ORDER BY turn LIMIT $2
        ) AS line
        WHERE due < $1
    )
) AS old
LIMIT $2
