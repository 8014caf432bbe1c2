SELECT inhdetachpending AS detaching FROM pg_inherits WHERE inhrelid = to_regclass($1) AND inhparent = to_regclass($2)
