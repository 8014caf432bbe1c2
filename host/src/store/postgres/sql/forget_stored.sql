WITH gone AS (
    DELETE FROM stored WHERE day = $1 RETURNING events, deliveries
)
SELECT coalesce(sum(events), 0)::bigint AS events, coalesce(sum(deliveries), 0)::bigint AS deliveries FROM gone
