INSERT INTO health (endpoint, failures, failing_since, on_trial) VALUES ($1, $2, $3, $4)
ON CONFLICT (endpoint) DO UPDATE SET
    failures = excluded.failures, failing_since = excluded.failing_since, on_trial = excluded.on_trial
