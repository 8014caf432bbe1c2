SELECT id, revision, held, ordering, aside_after, judged_from, document FROM endpoints ORDER BY id
