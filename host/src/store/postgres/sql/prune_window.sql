SELECT coalesce(min(sequence), 0) AS first, coalesce(max(sequence), 0) AS last, count(*) AS number
FROM (SELECT sequence FROM events WHERE sequence > $1 AND sequence <= $2 ORDER BY sequence LIMIT $3) AS ahead
