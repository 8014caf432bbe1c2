SELECT id, row FROM jobs ORDER BY id DESC
