INSERT INTO tally_changes (row) VALUES ($1)
