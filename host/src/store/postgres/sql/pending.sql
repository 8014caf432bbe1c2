SELECT coalesce(sum(pending), 0)::bigint AS pending FROM standings
