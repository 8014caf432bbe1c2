DELETE FROM heads
WHERE NOT EXISTS (SELECT 1 FROM endpoints WHERE id = heads.endpoint)
    AND NOT EXISTS (SELECT 1 FROM queue WHERE queue.endpoint = heads.endpoint)
