SELECT id, row FROM tally_changes ORDER BY id LIMIT $1
