SELECT coalesce(max(number), 0) AS version FROM migrations
