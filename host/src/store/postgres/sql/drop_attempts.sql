DELETE FROM attempts USING unnest($1::bigint[], $2::bigint[]) AS outdated (place, number)
WHERE attempts.place = outdated.place AND attempts.number <= outdated.number
