UPDATE queue SET leased_until = NULL, due = $4
FROM unnest($1::uuid[], $2::integer[], $3::bigint[]) AS lease (event, ordinal, generation)
JOIN events ON events.id = lease.event
WHERE queue.place = events.sequence * 65536 + lease.ordinal
    AND queue.generation = lease.generation AND leased_until IS NOT NULL
