INSERT INTO standings (endpoint, shard, pending, last_event_at, last_attempt_at, last_delivery_at)
SELECT endpoint, $6::smallint, pending, last_event_at, last_attempt_at, last_delivery_at
FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[])
    AS change (endpoint, pending, last_event_at, last_attempt_at, last_delivery_at)
ON CONFLICT (endpoint, shard) DO UPDATE SET
    pending = standings.pending + excluded.pending,
    last_event_at = greatest(standings.last_event_at, excluded.last_event_at),
    last_attempt_at = greatest(standings.last_attempt_at, excluded.last_attempt_at),
    last_delivery_at = greatest(standings.last_delivery_at, excluded.last_delivery_at)
