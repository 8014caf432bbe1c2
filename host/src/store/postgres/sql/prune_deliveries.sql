WITH gone AS (
    DELETE FROM deliveries WHERE place BETWEEN $1 AND $2 AND finished_at < $3 RETURNING place, tenant
), tried AS (
    DELETE FROM attempts USING gone WHERE attempts.place = gone.place AND attempts.place BETWEEN $1 AND $2
)
SELECT tenant, count(*) AS deliveries FROM gone GROUP BY tenant
