SELECT EXISTS (SELECT 1 FROM tallies WHERE resolution = $1 AND bucket + 0 < $2) AS found
