SELECT coalesce(sum(bytes), 0)::bigint AS bytes FROM stored_bytes WHERE tenant = $1
