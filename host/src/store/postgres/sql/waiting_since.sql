SELECT place, due, row FROM queue WHERE endpoint = $1 AND created_at < $2 ORDER BY created_at, place LIMIT $3
