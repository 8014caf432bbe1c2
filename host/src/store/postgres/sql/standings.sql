SELECT asked.endpoint, coalesce(sum(pending), 0)::bigint AS pending, max(last_event_at) AS last_event_at,
    max(last_attempt_at) AS last_attempt_at, max(last_delivery_at) AS last_delivery_at,
    (SELECT min(created_at) FROM queue WHERE queue.endpoint = asked.endpoint) AS oldest,
    failures, failing_since, on_trial
FROM unnest($1::uuid[]) AS asked (endpoint)
LEFT JOIN standings ON standings.endpoint = asked.endpoint
LEFT JOIN health ON health.endpoint = asked.endpoint
GROUP BY asked.endpoint, failures, failing_since, on_trial
