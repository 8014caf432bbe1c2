DELETE FROM standings
WHERE NOT EXISTS (SELECT 1 FROM endpoints WHERE id = standings.endpoint)
    AND NOT EXISTS (SELECT 1 FROM queue WHERE queue.endpoint = standings.endpoint)
