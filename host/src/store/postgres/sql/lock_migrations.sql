SELECT pg_advisory_xact_lock(hashtextextended('hookwright migrations ' || current_schema(), 0))
