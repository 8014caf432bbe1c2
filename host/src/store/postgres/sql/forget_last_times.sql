UPDATE standings SET last_event_at = NULL, last_attempt_at = NULL, last_delivery_at = NULL WHERE endpoint = $1
