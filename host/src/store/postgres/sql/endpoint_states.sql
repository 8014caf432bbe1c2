SELECT id, held, ordering, aside_after, judged_from, failures, failing_since, on_trial
FROM endpoints JOIN health ON health.endpoint = endpoints.id
WHERE id = ANY ($1)
