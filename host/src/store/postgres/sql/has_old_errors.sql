SELECT EXISTS (SELECT 1 FROM errors WHERE last_at < $1) AS found
