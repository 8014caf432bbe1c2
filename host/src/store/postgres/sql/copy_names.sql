SELECT tenant, producer_id, event, content, deliveries FROM producer_ids
WHERE (tenant, producer_id) > ($1, $2) ORDER BY tenant, producer_id
