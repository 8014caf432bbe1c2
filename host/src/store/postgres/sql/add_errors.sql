INSERT INTO errors (endpoint, kind, tenant, count, first_at, last_at, last_delivery, last_message)
SELECT * FROM unnest(
    $1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::uuid[], $8::bytea[]
)
ON CONFLICT (endpoint, kind) DO UPDATE SET
    count = errors.count + excluded.count,
    first_at = least(errors.first_at, excluded.first_at),
    tenant = CASE WHEN excluded.last_at >= errors.last_at THEN excluded.tenant ELSE errors.tenant END,
    last_delivery = CASE WHEN excluded.last_at >= errors.last_at THEN excluded.last_delivery ELSE errors.last_delivery END,
    last_message = CASE WHEN excluded.last_at >= errors.last_at THEN excluded.last_message ELSE errors.last_message END,
    last_at = greatest(errors.last_at, excluded.last_at)
