-- A place is an event's sequence times 65,536 plus a delivery's ordinal, so that keys ascend in the order of
-- acceptance. The bits of a sequence above the lowest 31 are its day, since 1970, so that what is stored of a day lies
-- between bounds that are known before it comes. Times are microseconds since 1970. What is only read whole stands in
-- `row`, as the embedded store writes it; what is asked for has a column.

CREATE TABLE migrations (
    number bigint PRIMARY KEY
);

-- The version of what operators describe, and the next event's place in the order. Whoever appends holds this row
-- until the commit, so that places become visible in their order.
CREATE TABLE book (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    version bigint NOT NULL CHECK (version >= 0),
    next_sequence bigint NOT NULL CHECK (next_sequence > 0)
) WITH (fillfactor = 10);
INSERT INTO book (version, next_sequence) VALUES (0, 1);

-- The days that have partitions. One that retention takes away whole is `marked` first, from when on nothing can be made
-- in it any more, and `leaving` once it was seen that nothing in it is to be kept. Its row goes last.
CREATE TABLE days (
    day integer PRIMARY KEY CHECK (day BETWEEN 0 AND 65534),
    stage text NOT NULL DEFAULT 'kept' CHECK (stage IN ('kept', 'marked', 'leaving'))
);

-- Where the last step of retention stopped.
CREATE TABLE pruning (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    pruned_to bigint NOT NULL CHECK (pruned_to >= 0)
);
INSERT INTO pruning (pruned_to) VALUES (0);

CREATE TABLE endpoints (
    id uuid PRIMARY KEY,
    revision bigint NOT NULL CHECK (revision > 0),
    held boolean NOT NULL,
    ordering text NOT NULL CHECK (ordering IN ('free', 'strict', 'parking')),
    aside_after bigint CHECK ((aside_after IS NOT NULL) = (ordering = 'parking')),
    judged_from bigint NOT NULL,
    document bytea NOT NULL
);

-- How each endpoint fares.
CREATE TABLE health (
    endpoint uuid PRIMARY KEY,
    failures bigint NOT NULL DEFAULT 0 CHECK (failures >= 0),
    failing_since bigint,
    on_trial boolean NOT NULL DEFAULT false
) WITH (fillfactor = 50);

-- The line of each endpoint that keeps an order, or kept one when it was deleted.
CREATE TABLE heads (
    endpoint uuid PRIMARY KEY,
    head bigint,
    next_turn bigint NOT NULL DEFAULT 0 CHECK (next_turn >= 0)
) WITH (fillfactor = 50);

CREATE TABLE documents (
    kind text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    revision bigint NOT NULL CHECK (revision > 0),
    document bytea NOT NULL,
    PRIMARY KEY (kind, name)
);

CREATE TABLE settings (
    name text COLLATE "C" PRIMARY KEY,
    value bytea NOT NULL
);

-- By days, as deliveries and attempts are. An id is not unique here: nobody looks for one in all days at once where it
-- can be helped.
CREATE TABLE events (
    sequence bigint PRIMARY KEY,
    id uuid NOT NULL,
    tenant text COLLATE "C" NOT NULL,
    event_type text COLLATE "C" NOT NULL,
    channels text[] NOT NULL,
    accepted_at bigint NOT NULL,
    size bigint NOT NULL CHECK (size >= 0),
    next_ordinal integer NOT NULL CHECK (next_ordinal BETWEEN 0 AND 65535),
    row bytea NOT NULL
) PARTITION BY RANGE (sequence);
CREATE INDEX events_id ON events (id);
CREATE INDEX events_tenant ON events (tenant, sequence);
-- Those that go by their age.
CREATE INDEX events_age ON events (accepted_at) WHERE next_ordinal = 0;

-- Names go with their events, but are looked for in all days.
CREATE TABLE producer_ids (
    tenant text COLLATE "C" NOT NULL,
    producer_id text COLLATE "C" NOT NULL,
    sequence bigint NOT NULL,
    event uuid NOT NULL,
    content bytea NOT NULL,
    deliveries bigint NOT NULL CHECK (deliveries >= 0),
    PRIMARY KEY (tenant, producer_id)
);
CREATE INDEX producer_ids_sequence ON producer_ids (sequence);

-- What is pending. A row with a turn stands in line, behind the head; only the others are handed out. Leases are found by
-- the delivery's id, without its event.
CREATE TABLE queue (
    place bigint PRIMARY KEY,
    delivery uuid NOT NULL UNIQUE,
    endpoint uuid NOT NULL,
    tenant text COLLATE "C" NOT NULL,
    event_type text COLLATE "C" NOT NULL,
    created_at bigint NOT NULL,
    due bigint NOT NULL,
    leased_until bigint,
    generation bigint NOT NULL CHECK (generation >= 0),
    turn bigint,
    row bytea NOT NULL,
    CHECK (leased_until IS NULL OR (turn IS NULL AND generation > 0))
) WITH (
    fillfactor = 70,
    autovacuum_vacuum_scale_factor = 0.01,
    autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_cost_delay = 0
);
CREATE INDEX queue_due ON queue (endpoint, due, place) WHERE turn IS NULL;
CREATE INDEX queue_turn ON queue (endpoint, turn) WHERE turn IS NOT NULL;
CREATE INDEX queue_age ON queue (endpoint, created_at);

-- What has ended: 1 delivered, 2 filtered, 3 failed, 4 cancelled. `attempt` is the one that ended it.
CREATE TABLE deliveries (
    place bigint PRIMARY KEY,
    endpoint uuid NOT NULL,
    tenant text COLLATE "C" NOT NULL,
    event_type text COLLATE "C" NOT NULL,
    state smallint NOT NULL CHECK (state BETWEEN 1 AND 4),
    created_at bigint NOT NULL,
    finished_at bigint NOT NULL,
    row bytea NOT NULL,
    attempt bytea
) PARTITION BY RANGE (place);
CREATE INDEX deliveries_endpoint ON deliveries (endpoint, place);
CREATE INDEX deliveries_tenant ON deliveries (tenant, place);
CREATE INDEX deliveries_state ON deliveries (state, place) WHERE state <> 1;
-- Tells whether a day has something old or something young without a look at its rows.
CREATE INDEX deliveries_finished ON deliveries USING brin (finished_at) WITH (autosummarize = on);

-- The attempts that did not end their delivery.
CREATE TABLE attempts (
    place bigint NOT NULL,
    number bigint NOT NULL CHECK (number > 0),
    row bytea NOT NULL,
    PRIMARY KEY (place, number)
) PARTITION BY RANGE (place);

-- Counts. Writers spread over shards, so that they need not wait for each other; the sum counts.
CREATE TABLE tallies (
    resolution smallint NOT NULL CHECK (resolution BETWEEN 0 AND 2),
    scope bytea NOT NULL,
    bucket bigint NOT NULL,
    shard smallint NOT NULL,
    row bytea NOT NULL,
    PRIMARY KEY (resolution, scope, bucket, shard)
) WITH (fillfactor = 50);
-- For what goes by its time, whatever its scope. Not of `bucket` itself: as long as nothing is known of the table, a look
-- for a whole key would go this way, past all scopes of its bucket.
CREATE INDEX tallies_age ON tallies (resolution, (bucket + 0));

CREATE TABLE standings (
    endpoint uuid NOT NULL,
    shard smallint NOT NULL,
    pending bigint NOT NULL,
    last_event_at bigint,
    last_attempt_at bigint,
    last_delivery_at bigint,
    PRIMARY KEY (endpoint, shard)
) WITH (fillfactor = 50);

-- What is kept of each day: events, their deliveries, pending or not, and bytes of payloads. It goes with its day.
CREATE TABLE stored (
    tenant text COLLATE "C" NOT NULL,
    day integer NOT NULL,
    shard smallint NOT NULL,
    events bigint NOT NULL,
    deliveries bigint NOT NULL,
    bytes bigint NOT NULL,
    PRIMARY KEY (tenant, day, shard)
) WITH (fillfactor = 50);
CREATE INDEX stored_day ON stored (day);

CREATE TABLE errors (
    endpoint uuid NOT NULL,
    kind text COLLATE "C" NOT NULL,
    tenant text COLLATE "C" NOT NULL,
    count bigint NOT NULL CHECK (count > 0),
    first_at bigint NOT NULL,
    last_at bigint NOT NULL CHECK (last_at >= first_at),
    last_delivery uuid NOT NULL,
    last_message bytea NOT NULL,
    PRIMARY KEY (endpoint, kind)
) WITH (fillfactor = 50);
CREATE INDEX errors_time ON errors (last_at, endpoint, kind);

CREATE TABLE jobs (
    id uuid PRIMARY KEY,
    row bytea NOT NULL
);

CREATE TABLE plugins (
    name text COLLATE "C" PRIMARY KEY,
    revision bigint NOT NULL CHECK (revision > 0),
    document bytea NOT NULL
);

CREATE TABLE components (
    digest bytea PRIMARY KEY,
    size bigint NOT NULL,
    kept_at bigint NOT NULL,
    bytes bytea NOT NULL
);
ALTER TABLE components ALTER COLUMN bytes SET STORAGE EXTERNAL;

-- The hosts that deliver, by the database's clock. What each sends is within what it may where those are there that
-- `keeps_to` lists.
CREATE TABLE hosts (
    id uuid PRIMARY KEY,
    keeps_to uuid[] NOT NULL,
    there_until bigint NOT NULL
) WITH (fillfactor = 10);
