SELECT heads.endpoint, events.id AS event, (heads.head & 65535)::integer AS ordinal
FROM heads JOIN events ON events.sequence = heads.head >> 16
