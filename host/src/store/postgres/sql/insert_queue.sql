INSERT INTO queue (place, delivery, endpoint, tenant, event_type, created_at, due, leased_until, generation, turn, row)
SELECT * FROM unnest(
    $1::bigint[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[],
    $10::bigint[], $11::bytea[]
)
