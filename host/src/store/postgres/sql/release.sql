UPDATE queue SET leased_until = NULL, due = $3
FROM unnest($1::uuid[], $2::bigint[]) AS lease (delivery, generation)
WHERE queue.delivery = lease.delivery AND queue.generation = lease.generation AND leased_until IS NOT NULL
