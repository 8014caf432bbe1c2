WITH gone AS (DELETE FROM queue WHERE place = ANY ($1))
INSERT INTO deliveries (place, endpoint, tenant, event_type, state, created_at, finished_at, row, attempt)
SELECT * FROM unnest(
    $1::bigint[], $2::uuid[], $3::text[], $4::text[], $5::smallint[], $6::bigint[], $7::bigint[], $8::bytea[], $9::bytea[]
)
