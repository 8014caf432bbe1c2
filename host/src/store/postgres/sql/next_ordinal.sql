UPDATE events SET next_ordinal = next_ordinal + 1 WHERE sequence = $1 AND next_ordinal < 65535
RETURNING next_ordinal - 1 AS ordinal
