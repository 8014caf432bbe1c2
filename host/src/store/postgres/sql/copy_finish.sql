UPDATE book SET version = $1, next_sequence = $2
