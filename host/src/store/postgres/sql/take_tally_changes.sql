DELETE FROM tally_changes WHERE id = ANY (ARRAY(SELECT id FROM tally_changes ORDER BY id LIMIT $1)) RETURNING row
