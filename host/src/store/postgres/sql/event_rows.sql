-- The bounds say which partitions are looked into.
SELECT sequence, row FROM events
WHERE sequence = ANY ($1) AND sequence BETWEEN $2 AND $3
