SELECT place, delivery, generation, leased_until IS NOT NULL AS leased, due FROM queue
WHERE delivery = ANY ($1) ORDER BY place FOR UPDATE
