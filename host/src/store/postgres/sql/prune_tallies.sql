DELETE FROM tallies WHERE (resolution, scope, bucket, shard) IN (
    SELECT resolution, scope, bucket, shard FROM tallies WHERE resolution = $1 AND bucket + 0 < $2 LIMIT $3
)
