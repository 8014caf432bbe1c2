SELECT events.id, events.sequence FROM unnest($1::uuid[]) AS asked (id) JOIN events ON events.id = asked.id
