SELECT place, due, turn, row FROM queue WHERE place >= $1 ORDER BY place
