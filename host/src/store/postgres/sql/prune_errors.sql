DELETE FROM errors WHERE (endpoint, kind) IN (
    SELECT endpoint, kind FROM errors WHERE last_at < $1 ORDER BY last_at, endpoint, kind LIMIT $2
)
