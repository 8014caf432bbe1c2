INSERT INTO errors (endpoint, kind, tenant, count, first_at, last_at, last_delivery, last_message)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (endpoint, kind) DO NOTHING
