SELECT scope, bucket, row FROM tallies
WHERE resolution = $1 AND scope = ANY ($2) AND bucket >= $3 AND bucket < $4
