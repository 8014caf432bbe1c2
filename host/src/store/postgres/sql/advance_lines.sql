UPDATE queue SET turn = NULL
FROM (
    SELECT (
        SELECT place FROM queue WHERE queue.endpoint = line.endpoint AND turn IS NOT NULL ORDER BY turn LIMIT 1
    ) AS place
    FROM unnest($1::uuid[]) AS line (endpoint)
) AS next
WHERE queue.place = next.place
RETURNING queue.endpoint, queue.place
