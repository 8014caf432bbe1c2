SELECT EXISTS (SELECT 1 FROM events WHERE sequence > $1) AS follow
