WITH picked AS MATERIALIZED (
    SELECT head.place
    FROM unnest($1::uuid[], $2::bigint[]) WITH ORDINALITY AS lane (endpoint, room, number)
    CROSS JOIN LATERAL (
        SELECT place FROM queue
        WHERE queue.endpoint = lane.endpoint AND turn IS NULL AND due <= $3
            AND (leased_until IS NULL OR leased_until <= $3) AND place <> ALL ($6)
        ORDER BY due, place LIMIT lane.room
        FOR UPDATE SKIP LOCKED
    ) AS head
    LIMIT $5
)
UPDATE queue SET leased_until = $4, generation = generation + 1
FROM picked WHERE queue.place = picked.place
RETURNING queue.place, queue.endpoint, queue.due, queue.generation, queue.row
