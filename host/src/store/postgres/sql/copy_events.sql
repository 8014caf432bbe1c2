SELECT sequence, next_ordinal, row FROM events WHERE sequence >= $1 ORDER BY sequence
