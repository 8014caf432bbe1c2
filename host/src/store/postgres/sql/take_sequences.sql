-- A host whose clock is far ahead must not take the order of all along.
UPDATE book SET next_sequence = greatest(
    next_sequence, least($2::bigint, floor(extract(epoch FROM now()) / 86400)::bigint + 1) << 31
) + $1
RETURNING version, next_sequence - $1 AS first
