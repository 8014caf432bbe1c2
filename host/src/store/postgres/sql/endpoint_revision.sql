SELECT revision, judged_from FROM endpoints WHERE id = $1
