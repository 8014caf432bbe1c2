SELECT place, row, attempt FROM deliveries WHERE place >= $1 ORDER BY place
