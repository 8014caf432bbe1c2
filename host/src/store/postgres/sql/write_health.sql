UPDATE health SET failures = fared.failures, failing_since = fared.failing_since, on_trial = fared.on_trial
FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::boolean[]) AS fared (endpoint, failures, failing_since, on_trial)
WHERE health.endpoint = fared.endpoint
