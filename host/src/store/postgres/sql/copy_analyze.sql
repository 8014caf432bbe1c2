ANALYZE events, deliveries, attempts, queue, producer_ids, tallies
