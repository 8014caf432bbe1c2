SELECT name, revision FROM plugins WHERE name = ANY ($1)
