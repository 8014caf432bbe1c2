INSERT INTO plugins (name, revision, document)
SELECT * FROM unnest($1::text[], $2::bigint[], $3::bytea[])
ON CONFLICT (name) DO UPDATE SET revision = excluded.revision, document = excluded.document
