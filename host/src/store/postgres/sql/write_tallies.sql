INSERT INTO tallies (resolution, scope, bucket, shard, row)
SELECT resolution, scope, bucket, $5::smallint, row
FROM unnest($1::smallint[], $2::bytea[], $3::bigint[], $4::bytea[]) AS new (resolution, scope, bucket, row)
ON CONFLICT (resolution, scope, bucket, shard) DO UPDATE SET row = excluded.row
