INSERT INTO heads (endpoint, next_turn)
SELECT endpoint, coalesce(max(queue.turn) + 1, 0)
FROM (
    SELECT id AS endpoint FROM endpoints WHERE ordering <> 'free'
    UNION SELECT endpoint FROM heads
    UNION SELECT endpoint FROM queue WHERE turn IS NOT NULL
) AS known
LEFT JOIN queue USING (endpoint)
GROUP BY endpoint
ON CONFLICT (endpoint) DO UPDATE SET next_turn = excluded.next_turn
