WITH gone AS (
    DELETE FROM events
    WHERE sequence BETWEEN $1 AND $2 AND (next_ordinal > 0 OR accepted_at < $3)
        AND NOT EXISTS (
            SELECT 1 FROM queue
            WHERE place BETWEEN events.sequence * 65536 AND events.sequence * 65536 + 65535
        )
        AND NOT EXISTS (
            SELECT 1 FROM deliveries
            WHERE place BETWEEN events.sequence * 65536 AND events.sequence * 65536 + 65535
        )
    RETURNING tenant, producer_id, size
), freed AS (
    DELETE FROM producer_ids USING gone
    WHERE producer_ids.tenant = gone.tenant AND producer_ids.producer_id = gone.producer_id
)
SELECT tenant, count(*) AS number, sum(size)::bigint AS size FROM gone GROUP BY tenant
