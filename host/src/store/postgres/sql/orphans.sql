WITH RECURSIVE lanes AS (
    (SELECT endpoint FROM queue ORDER BY endpoint, created_at LIMIT 1)
    UNION ALL
    SELECT next.endpoint FROM lanes CROSS JOIN LATERAL (
        SELECT endpoint FROM queue WHERE endpoint > lanes.endpoint ORDER BY endpoint, created_at LIMIT 1
    ) AS next
)
SELECT orphan.place, orphan.due, orphan.row
FROM lanes CROSS JOIN LATERAL (
    SELECT place, due, row FROM queue WHERE queue.endpoint = lanes.endpoint ORDER BY created_at, place LIMIT $1
) AS orphan
WHERE NOT EXISTS (SELECT 1 FROM endpoints WHERE id = lanes.endpoint)
LIMIT $1
