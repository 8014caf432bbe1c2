SELECT day FROM days WHERE stage = 'kept' AND day >= $1 ORDER BY day LIMIT 1
