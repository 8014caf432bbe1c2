UPDATE queue SET due = again.due, row = again.row, leased_until = NULL
FROM unnest($1::bigint[], $2::bigint[], $3::bytea[]) AS again (place, due, row)
WHERE queue.place = again.place
