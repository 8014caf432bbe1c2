UPDATE book SET next_sequence = greatest(next_sequence, ($1::integer + 1)::bigint << 31)
