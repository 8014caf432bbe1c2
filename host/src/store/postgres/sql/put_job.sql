INSERT INTO jobs (id, row) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET row = excluded.row
