SELECT events.sequence, events.row
FROM unnest($1::bigint[]) AS asked (sequence) JOIN events ON events.sequence = asked.sequence
WHERE events.sequence BETWEEN $2 AND $3
