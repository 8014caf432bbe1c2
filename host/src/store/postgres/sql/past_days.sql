SELECT day FROM days
WHERE stage = 'kept' AND day < $1
    AND NOT EXISTS (
        SELECT 1 FROM queue WHERE place >= days.day::bigint << 47 AND place < (days.day + 1)::bigint << 47
    )
ORDER BY day
