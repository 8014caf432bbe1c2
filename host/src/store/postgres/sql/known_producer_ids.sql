SELECT known.tenant, known.producer_id, known.event, known.content, known.deliveries
FROM unnest($1::text[], $2::text[]) AS asked (tenant, producer_id)
JOIN producer_ids AS known ON known.tenant = asked.tenant AND known.producer_id = asked.producer_id
