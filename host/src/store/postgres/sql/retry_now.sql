UPDATE queue SET due = $2 WHERE place = $1 AND leased_until IS NULL AND turn IS NULL
