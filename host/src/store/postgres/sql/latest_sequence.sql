SELECT next_sequence - 1 AS latest FROM book
