INSERT INTO standings (endpoint, shard, pending, last_event_at, last_attempt_at, last_delivery_at)
VALUES ($1, 0, $2, $3, $4, $5)
ON CONFLICT (endpoint, shard) DO UPDATE SET
    pending = excluded.pending, last_event_at = excluded.last_event_at,
    last_attempt_at = excluded.last_attempt_at, last_delivery_at = excluded.last_delivery_at
