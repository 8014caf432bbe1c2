SELECT sequence, id FROM events WHERE sequence >= $1 ORDER BY sequence LIMIT 1
