SELECT digest, size, kept_at FROM components ORDER BY digest
