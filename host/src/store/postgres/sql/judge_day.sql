UPDATE days SET stage = $2 WHERE day = $1 AND stage = 'marked'
