SELECT place, due, leased_until IS NOT NULL AS leased, turn, row, NULL::bytea AS attempt FROM queue WHERE place = $1
UNION ALL
SELECT place, NULL, false, NULL, row, attempt FROM deliveries WHERE place = $1
