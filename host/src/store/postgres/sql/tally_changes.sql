SELECT id, row FROM tally_changes WHERE id > $1 ORDER BY id LIMIT $2
