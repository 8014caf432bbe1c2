WITH gone AS (
    DELETE FROM deliveries WHERE place BETWEEN $1 AND $2 AND finished_at < $3 RETURNING place
), tried AS (
    DELETE FROM attempts USING gone WHERE attempts.place = gone.place
)
SELECT count(*) AS number FROM gone
