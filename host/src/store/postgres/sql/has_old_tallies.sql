SELECT EXISTS (SELECT 1 FROM tallies WHERE resolution = $1 AND bucket < $2) AS found
