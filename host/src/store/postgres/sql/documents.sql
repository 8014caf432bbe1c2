SELECT kind, name, revision, document FROM documents ORDER BY kind, name
