DELETE FROM hosts WHERE id = $1
