SELECT sequence, row FROM events
WHERE id = $1 AND sequence BETWEEN $2 AND $3
    AND NOT EXISTS (SELECT 1 FROM days WHERE day = (sequence >> 31)::integer AND stage <> 'kept')
