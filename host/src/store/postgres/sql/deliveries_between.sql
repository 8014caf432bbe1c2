SELECT place, due, row FROM queue WHERE place BETWEEN $1 AND $2
UNION ALL
SELECT place, NULL, row FROM deliveries WHERE place BETWEEN $1 AND $2
ORDER BY place
