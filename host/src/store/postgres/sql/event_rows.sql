SELECT sequence, row FROM events WHERE sequence = ANY ($1)
