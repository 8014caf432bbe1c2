-- One by one, each by its whole key: whatever the planner thinks of the table, it must not read a shard from end to end.
SELECT asked.resolution, asked.scope, asked.bucket, stored.row
FROM unnest($1::smallint[], $2::bytea[], $3::bigint[]) AS asked (resolution, scope, bucket)
CROSS JOIN LATERAL (
    SELECT row FROM tallies
    WHERE tallies.resolution = asked.resolution AND tallies.scope = asked.scope AND tallies.bucket = asked.bucket
        AND tallies.shard = $4
    LIMIT 1
) AS stored
