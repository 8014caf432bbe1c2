SELECT endpoint, head, next_turn FROM heads
WHERE endpoint = ANY ($1) ORDER BY endpoint FOR UPDATE
