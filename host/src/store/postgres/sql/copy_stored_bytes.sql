SELECT tenant, sum(bytes)::bigint AS bytes FROM stored GROUP BY tenant HAVING sum(bytes) <> 0
