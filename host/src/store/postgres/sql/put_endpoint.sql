INSERT INTO endpoints (id, revision, held, ordering, aside_after, judged_from, document)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (id) DO UPDATE SET
    revision = excluded.revision, held = excluded.held, ordering = excluded.ordering,
    aside_after = excluded.aside_after, judged_from = excluded.judged_from, document = excluded.document
