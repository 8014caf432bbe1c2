SELECT endpoint, kind, tenant, count, first_at, last_at, last_delivery, last_message FROM errors
