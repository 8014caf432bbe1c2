TRUNCATE settings, endpoints, health, heads, documents, events, producer_ids, queue, deliveries, attempts, tallies,
    tally_changes, standings, stored, errors, jobs, plugins, components
