SELECT queue.place, queue.generation, queue.leased_until IS NOT NULL AS leased, queue.due, events.id, lease.ordinal
FROM unnest($1::uuid[], $2::integer[]) AS lease (event, ordinal)
JOIN events ON events.id = lease.event
JOIN queue ON queue.place = events.sequence * 65536 + lease.ordinal
ORDER BY queue.place FOR UPDATE OF queue
