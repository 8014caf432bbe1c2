SELECT day, stage FROM days WHERE stage <> 'kept' ORDER BY day LIMIT 1
