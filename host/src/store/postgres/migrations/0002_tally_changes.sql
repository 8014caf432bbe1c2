-- What transactions add to the counts, a row each, until a host has added it to `tallies`. So a transaction writes one row,
-- however many counts it changes, and waits for nobody. What is counted is the sum of both.
CREATE TABLE tally_changes (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    row bytea NOT NULL
) WITH (
    toast_tuple_target = 8160,
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 2000,
    autovacuum_vacuum_cost_delay = 0
);
ALTER TABLE tally_changes ALTER COLUMN row SET STORAGE EXTERNAL;

-- The oldest version of these tables whose programs get along with them as they are. A migration that only adds to what
-- is there leaves it as it is, so that hosts of both versions can run side by side; one that does more raises it.
CREATE TABLE bearing (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    oldest bigint NOT NULL CHECK (oldest > 0)
);
INSERT INTO bearing (oldest) VALUES (1);
