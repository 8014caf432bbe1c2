DELETE FROM producer_ids WHERE (tenant, producer_id) IN (
    SELECT tenant, producer_id FROM producer_ids WHERE sequence BETWEEN $1 AND $2 ORDER BY sequence LIMIT $3
)
