SELECT tenant, sum(bytes)::bigint AS bytes FROM stored_bytes GROUP BY tenant HAVING sum(bytes) <> 0
