-- What is shown is found by index: whatever a view asks for has one, and none of them reads the history. As in the first
-- schema, `record` is the whole of a row.

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
