-- What has a head is a subject, named by its reference; before, it was a branch, named by itself. As in the first schema,
-- `record` is the whole of it, in the form that `version` says.

CREATE TABLE cursors (
    version INTEGER NOT NULL,
    checksum TEXT NOT NULL,
    record TEXT NOT NULL,
    watch TEXT NOT NULL AS (record ->> '$.watch'),
    subject TEXT NOT NULL AS (coalesce(record ->> '$.subject', 'refs/heads/' || (record ->> '$.branch'))),
    observed TEXT AS (record ->> '$.observed.sha'),
    attempted TEXT AS (record ->> '$.attempted.sha'),
    delivered TEXT AS (record ->> '$.delivered.sha'),
    delivered_at TEXT AS (record ->> '$.delivered.at'),
    passed TEXT AS (record ->> '$.passed.mark.sha'),
    parked TEXT AS (record ->> '$.parked.mark.sha'),
    gone TEXT AS (record ->> '$.gone'),
    UNIQUE (watch, subject)
) STRICT;
INSERT INTO cursors (version, checksum, record) SELECT version, checksum, record FROM branches;
DROP TABLE branches;

CREATE TABLE heads_5 (
    version INTEGER NOT NULL,
    checksum TEXT NOT NULL,
    record TEXT NOT NULL,
    sha TEXT NOT NULL AS (record ->> '$.revision.sha'),
    watch TEXT NOT NULL AS (record ->> '$.watch'),
    subject TEXT NOT NULL AS (
        coalesce(record ->> '$.revision.subject', 'refs/heads/' || (record ->> '$.revision.branch'))),
    reason TEXT NOT NULL AS (record ->> '$.reason'),
    at TEXT NOT NULL AS (record ->> '$.at'),
    delivery TEXT AS (record ->> '$.delivery'),
    detail TEXT AS (record ->> '$.detail'),
    UNIQUE (sha, watch, subject)
) STRICT;
INSERT INTO heads_5 (version, checksum, record) SELECT version, checksum, record FROM heads;
DROP TABLE heads;
ALTER TABLE heads_5 RENAME TO heads;
CREATE INDEX heads_by_time ON heads (at);

CREATE TABLE troubles_5 (
    version INTEGER NOT NULL,
    checksum TEXT NOT NULL,
    record TEXT NOT NULL,
    watch TEXT NOT NULL AS (record ->> '$.watch'),
    subject TEXT NOT NULL AS (coalesce(record ->> '$.subject', 'refs/heads/' || (record ->> '$.branch'))),
    at TEXT NOT NULL AS (record ->> '$.at'),
    UNIQUE (watch, subject)
) STRICT;
INSERT INTO troubles_5 (version, checksum, record) SELECT version, checksum, record FROM troubles;
DROP TABLE troubles;
ALTER TABLE troubles_5 RENAME TO troubles;

ALTER TABLE deliveries DROP COLUMN branch;
ALTER TABLE deliveries ADD COLUMN subject TEXT AS (
    coalesce(record ->> '$.revision.subject', 'refs/heads/' || (record ->> '$.revision.branch')));
ALTER TABLE inventory DROP COLUMN branch;
ALTER TABLE inventory ADD COLUMN subject TEXT AS (
    coalesce(record ->> '$.subject', 'refs/heads/' || (record ->> '$.branch')));
ALTER TABLE outbox DROP COLUMN branch;
ALTER TABLE outbox ADD COLUMN subject TEXT AS (
    coalesce(record ->> '$.notice.revision.subject', 'refs/heads/' || (record ->> '$.notice.revision.branch')));
