SELECT sequence FROM events WHERE id = $1
