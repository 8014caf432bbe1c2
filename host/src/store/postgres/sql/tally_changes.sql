SELECT row FROM tally_changes ORDER BY id
