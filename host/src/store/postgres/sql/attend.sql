INSERT INTO hosts (id, keeps_to, there_until)
VALUES ($1, $2, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint + $3)
ON CONFLICT (id) DO UPDATE SET keeps_to = excluded.keeps_to, there_until = excluded.there_until
