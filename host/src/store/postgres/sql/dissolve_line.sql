UPDATE queue SET turn = NULL WHERE endpoint = $1 AND turn IS NOT NULL
