SELECT resolution, scope, bucket, row FROM tallies
WHERE (resolution, scope, bucket) > ($1, $2, $3) ORDER BY resolution, scope, bucket, shard
