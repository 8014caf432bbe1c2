INSERT INTO migrations (number) VALUES ($1)
