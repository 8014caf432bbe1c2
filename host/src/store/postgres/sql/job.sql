SELECT id, row FROM jobs WHERE id = $1
