SELECT stored.resolution, stored.scope, stored.bucket, stored.row
FROM unnest($1::smallint[], $2::bytea[], $3::bigint[]) AS asked (resolution, scope, bucket)
JOIN tallies AS stored ON stored.resolution = asked.resolution AND stored.scope = asked.scope
    AND stored.bucket = asked.bucket AND stored.shard = $4
