SELECT id, keeps_to FROM hosts
WHERE there_until > (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
ORDER BY id
