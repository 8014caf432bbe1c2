WITH RECURSIVE lanes AS (
    (SELECT endpoint FROM queue WHERE turn IS NULL ORDER BY endpoint, due LIMIT 1)
    UNION ALL
    SELECT next.endpoint FROM lanes CROSS JOIN LATERAL (
        SELECT endpoint FROM queue
        WHERE turn IS NULL AND endpoint > lanes.endpoint ORDER BY endpoint, due LIMIT 1
    ) AS next
)
-- What is leased behind the first one that is not cannot be due before it.
SELECT lanes.endpoint, head.due
FROM lanes
JOIN endpoints ON endpoints.id = lanes.endpoint
CROSS JOIN LATERAL (
    SELECT min(greatest(due, leased_until)) AS due FROM queue
    WHERE queue.endpoint = lanes.endpoint AND turn IS NULL AND due <= coalesce(
        (
            SELECT due FROM queue
            WHERE queue.endpoint = lanes.endpoint AND turn IS NULL AND leased_until IS NULL
            ORDER BY due, place LIMIT 1
        ),
        9223372036854775807
    )
) AS head
WHERE NOT held AND head.due IS NOT NULL
