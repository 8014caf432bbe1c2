SELECT count(*) AS number FROM events
