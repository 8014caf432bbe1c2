SELECT row FROM attempts WHERE place = $1 ORDER BY number DESC LIMIT $2
