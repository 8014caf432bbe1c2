INSERT INTO health (endpoint) VALUES ($1) ON CONFLICT (endpoint) DO NOTHING
