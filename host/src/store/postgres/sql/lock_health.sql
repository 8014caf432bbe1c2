SELECT endpoint, failures, failing_since, on_trial FROM health
WHERE endpoint = ANY ($1) ORDER BY endpoint FOR UPDATE
