INSERT INTO events (sequence, id, tenant, event_type, channels, accepted_at, size, next_ordinal, row)
SELECT sequence, id, tenant, event_type,
    CASE WHEN channels = '' THEN '{}' ELSE string_to_array(channels, ' ') END,
    accepted_at, size, next_ordinal, row
FROM unnest(
    $1::bigint[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::integer[], $9::bytea[]
) AS new (sequence, id, tenant, event_type, channels, accepted_at, size, next_ordinal, row)
