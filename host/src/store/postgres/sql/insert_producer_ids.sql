INSERT INTO producer_ids (tenant, producer_id, sequence, event, content, deliveries)
SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::uuid[], $5::bytea[], $6::bigint[])
