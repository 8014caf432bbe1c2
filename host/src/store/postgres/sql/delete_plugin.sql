DELETE FROM plugins WHERE name = $1 AND revision = $2
