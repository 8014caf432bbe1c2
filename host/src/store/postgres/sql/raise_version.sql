UPDATE book SET version = version + 1 RETURNING version
