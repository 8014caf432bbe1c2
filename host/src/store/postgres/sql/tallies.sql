SELECT found.scope, found.bucket, found.row
FROM (SELECT DISTINCT scope FROM unnest($2::bytea[]) AS scope) AS asked
CROSS JOIN LATERAL (
    SELECT scope, bucket, row FROM tallies
    WHERE tallies.resolution = $1 AND tallies.scope = asked.scope AND tallies.bucket >= $3 AND tallies.bucket < $4
    OFFSET 0
) AS found
