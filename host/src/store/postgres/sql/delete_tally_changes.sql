DELETE FROM tally_changes WHERE id = ANY ($1)
