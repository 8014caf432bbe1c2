DELETE FROM components WHERE digest = ANY ($1)
