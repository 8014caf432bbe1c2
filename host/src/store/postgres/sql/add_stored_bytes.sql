INSERT INTO stored_bytes (tenant, shard, bytes)
SELECT tenant, $3::smallint, bytes FROM unnest($1::text[], $2::bigint[]) AS change (tenant, bytes)
ON CONFLICT (tenant, shard) DO UPDATE SET bytes = stored_bytes.bytes + excluded.bytes
