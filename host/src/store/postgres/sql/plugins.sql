SELECT name, revision, document FROM plugins ORDER BY name
