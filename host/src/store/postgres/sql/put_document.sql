INSERT INTO documents (kind, name, revision, document) VALUES ($1, $2, $3, $4)
ON CONFLICT (kind, name) DO UPDATE SET revision = excluded.revision, document = excluded.document
