SELECT ahead.day
FROM (SELECT (floor(extract(epoch FROM now()) / 86400)::integer + number) AS day FROM generate_series(0, $1::integer) AS number) AS ahead
WHERE NOT EXISTS (SELECT 1 FROM days WHERE days.day = ahead.day)
ORDER BY ahead.day
