SELECT name, value FROM settings WHERE name <> $1 ORDER BY name
