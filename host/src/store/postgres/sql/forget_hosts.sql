DELETE FROM hosts WHERE there_until <= (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
