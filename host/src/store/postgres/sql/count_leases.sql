SELECT count(*) AS number FROM queue WHERE leased_until > $1
