SELECT sequence, row FROM events WHERE id = $1
