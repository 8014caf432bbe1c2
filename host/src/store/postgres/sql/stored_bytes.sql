SELECT coalesce(sum(bytes), 0)::bigint AS bytes FROM stored WHERE tenant = $1
