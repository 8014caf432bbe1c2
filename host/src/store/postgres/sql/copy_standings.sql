SELECT known.endpoint, coalesce(sum(pending), 0)::bigint AS pending, max(last_event_at) AS last_event_at,
    max(last_attempt_at) AS last_attempt_at, max(last_delivery_at) AS last_delivery_at,
    failures, failing_since, on_trial
FROM (SELECT endpoint FROM standings UNION SELECT endpoint FROM health) AS known
LEFT JOIN standings ON standings.endpoint = known.endpoint
LEFT JOIN health ON health.endpoint = known.endpoint
GROUP BY known.endpoint, failures, failing_since, on_trial
