SELECT day FROM days WHERE stage = 'kept' AND day BETWEEN $1 AND $2 ORDER BY day LIMIT 1
