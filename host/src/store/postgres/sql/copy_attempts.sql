SELECT place, number, row FROM attempts WHERE place >= $1 ORDER BY place, number
