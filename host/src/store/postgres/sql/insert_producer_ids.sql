INSERT INTO producer_ids (tenant, producer_id, event, content, deliveries)
SELECT * FROM unnest($1::text[], $2::text[], $3::uuid[], $4::bytea[], $5::bigint[])
