SELECT EXISTS (SELECT 1 FROM {deliveries} WHERE finished_at < $1)
    OR EXISTS (SELECT 1 FROM {events} WHERE accepted_at < $1 AND next_ordinal = 0) AS found
