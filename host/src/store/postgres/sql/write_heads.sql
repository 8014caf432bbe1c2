UPDATE heads SET head = changed.head, next_turn = changed.next_turn
FROM unnest($1::uuid[], $2::bigint[], $3::bigint[]) AS changed (endpoint, head, next_turn)
WHERE heads.endpoint = changed.endpoint
