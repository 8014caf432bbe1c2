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
                AND place BETWEEN $1::bigint * 65536 AND $2::bigint * 65536 + 65535
        )
    RETURNING sequence, tenant, size
), freed AS (
    DELETE FROM producer_ids USING gone WHERE producer_ids.sequence = gone.sequence
)
SELECT tenant, count(*) AS events, sum(size)::bigint AS bytes FROM gone GROUP BY tenant
