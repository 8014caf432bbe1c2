UPDATE book SET next_sequence = next_sequence + $1
RETURNING version, next_sequence - $1 AS first
