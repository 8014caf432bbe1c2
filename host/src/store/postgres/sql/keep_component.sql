INSERT INTO components (digest, size, kept_at, bytes) VALUES ($1, $2, $3, $4) ON CONFLICT (digest) DO NOTHING
