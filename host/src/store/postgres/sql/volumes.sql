SELECT scope, row FROM tallies
WHERE resolution = $1 AND bucket >= $2 AND bucket < $3 AND scope >= $4 AND scope < $5
ORDER BY bucket DESC LIMIT $6
