INSERT INTO attempts (place, number, row)
SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bytea[])
ON CONFLICT (place, number) DO UPDATE SET row = excluded.row
