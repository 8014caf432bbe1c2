SELECT set_config('lock_timeout', '30s', false), pg_advisory_lock($1)
