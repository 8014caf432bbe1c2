SELECT version, next_sequence, (SELECT count(*) FROM queue) AS pending FROM book
