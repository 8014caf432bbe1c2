WITH RECURSIVE lanes AS (
    (SELECT endpoint, due FROM queue WHERE turn IS NULL ORDER BY endpoint, due LIMIT 1)
    UNION ALL
    SELECT next.endpoint, next.due FROM lanes CROSS JOIN LATERAL (
        SELECT endpoint, due FROM queue
        WHERE turn IS NULL AND endpoint > lanes.endpoint ORDER BY endpoint, due LIMIT 1
    ) AS next
)
SELECT lanes.endpoint
FROM lanes JOIN endpoints ON endpoints.id = lanes.endpoint
WHERE NOT held AND lanes.due <= $1
ORDER BY lanes.due, lanes.endpoint
