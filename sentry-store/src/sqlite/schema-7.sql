-- What is shown is found by index: whatever a view asks for has one, and none of them reads the history. As in the first
-- schema, `record` is the whole of a row; but the objects, runs and steps of a delivery have rows of their own, and `parts`
-- says how many, and how the runs stand: total, running, succeeded, failed, cancelled, queued. A delivery of an older schema
-- has no `parts`, and all in its record, until it is written again.

ALTER TABLE deliveries ADD COLUMN parts TEXT NOT NULL DEFAULT '';

CREATE TABLE delivery_objects (
    delivery TEXT NOT NULL,
    place INTEGER NOT NULL,
    version INTEGER NOT NULL,
    checksum TEXT NOT NULL,
    record TEXT NOT NULL,
    kind TEXT AS (record ->> '$.object.kind'),
    namespace TEXT AS (record ->> '$.object.namespace'),
    name TEXT AS (record ->> '$.object.name'),
    action TEXT AS (record ->> '$.action'),
    PRIMARY KEY (delivery, place)
) STRICT, WITHOUT ROWID;

CREATE TABLE delivery_runs (
    delivery TEXT NOT NULL,
    place INTEGER NOT NULL,
    version INTEGER NOT NULL,
    checksum TEXT NOT NULL,
    record TEXT NOT NULL,
    name TEXT AS (record ->> '$.object.name'),
    state TEXT AS (record ->> '$.state'),
    reason TEXT AS (record ->> '$.reason'),
    PRIMARY KEY (delivery, place)
) STRICT, WITHOUT ROWID;

CREATE TABLE delivery_steps (
    delivery TEXT NOT NULL,
    place INTEGER NOT NULL,
    version INTEGER NOT NULL,
    checksum TEXT NOT NULL,
    record TEXT NOT NULL,
    step TEXT AS (record ->> '$.step'),
    started TEXT AS (record ->> '$.started'),
    PRIMARY KEY (delivery, place)
) STRICT, WITHOUT ROWID;

DROP INDEX deliveries_of_watch;
DROP INDEX deliveries_open;
CREATE INDEX deliveries_of_watch ON deliveries (watch, id, state);
CREATE INDEX deliveries_of_subject ON deliveries (watch, subject, id, state);
CREATE INDEX deliveries_by_state ON deliveries (state, id);
CREATE INDEX deliveries_open ON deliveries (watch, subject, id) WHERE final = 0;

ALTER TABLE cursors ADD COLUMN waiting INTEGER AS (
    (record ->> '$.gone') IS NULL
    AND coalesce(record ->> '$.passed.mark.sha', record ->> '$.delivered.sha') IS NOT (record ->> '$.observed.sha'));
ALTER TABLE cursors ADD COLUMN succeeded_at TEXT AS (
    CASE WHEN (record ->> '$.passed.mark.sha') IS NOT (record ->> '$.delivered.sha') THEN record ->> '$.delivered.at' END);
CREATE INDEX cursors_waiting ON cursors (watch, subject) WHERE waiting = 1;
CREATE INDEX cursors_at ON cursors (observed, watch);
CREATE INDEX cursors_succeeded ON cursors (watch, succeeded_at);

ALTER TABLE reports ADD COLUMN error TEXT AS (record ->> '$.error');
CREATE INDEX reports_in_vain ON reports (watch, at) WHERE due = 1 AND error IS NOT NULL;
