INSERT INTO stored (tenant, day, shard, events, deliveries, bytes)
SELECT tenant, day, $6::smallint, events, deliveries, bytes
FROM unnest($1::text[], $2::integer[], $3::bigint[], $4::bigint[], $5::bigint[]) AS change (tenant, day, events, deliveries, bytes)
ON CONFLICT (tenant, day, shard) DO UPDATE SET
    events = stored.events + excluded.events,
    deliveries = stored.deliveries + excluded.deliveries,
    bytes = stored.bytes + excluded.bytes
