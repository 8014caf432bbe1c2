SELECT scope, row FROM tallies
WHERE resolution = $1 AND bucket + 0 >= $2 AND bucket + 0 < $3 AND scope >= $4 AND scope < $5
ORDER BY bucket + 0 DESC LIMIT $6
