INSERT INTO heads (endpoint, head) VALUES ($1, $2) ON CONFLICT (endpoint) DO UPDATE SET head = excluded.head
