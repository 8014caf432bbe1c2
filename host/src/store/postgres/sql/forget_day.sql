DELETE FROM days WHERE day = $1 AND stage = 'leaving'
