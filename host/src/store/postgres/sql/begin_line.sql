INSERT INTO heads (endpoint) VALUES ($1) ON CONFLICT (endpoint) DO NOTHING
