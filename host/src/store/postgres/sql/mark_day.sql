UPDATE days SET stage = 'marked'
WHERE day = $1 AND stage = 'kept' AND NOT EXISTS (
    SELECT 1 FROM queue WHERE place >= $1::bigint << 47 AND place < ($1 + 1)::bigint << 47
)
