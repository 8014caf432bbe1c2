WITH RECURSIVE lanes AS (
    (SELECT endpoint FROM queue ORDER BY endpoint, created_at LIMIT 1)
    UNION ALL
    SELECT next.endpoint FROM lanes CROSS JOIN LATERAL (
        SELECT endpoint FROM queue WHERE endpoint > lanes.endpoint ORDER BY endpoint, created_at LIMIT 1
    ) AS next
)
SELECT EXISTS (SELECT 1 FROM lanes WHERE NOT EXISTS (SELECT 1 FROM endpoints WHERE id = lanes.endpoint)) AS found
