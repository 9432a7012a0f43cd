-- The whole of a record lies in `record`, as JSON in the form that `version` says; the other columns are read out of
-- it for people and for indexes. `checksum` finds damage that SQLite can't see: read these tables, never edit them.

CREATE TABLE branches (
    version INTEGER NOT NULL,
    checksum TEXT NOT NULL,
    record TEXT NOT NULL,
    watch TEXT NOT NULL AS (record ->> '$.watch'),
    branch TEXT NOT NULL AS (record ->> '$.branch'),
    observed TEXT AS (record ->> '$.observed.sha'),
    attempted TEXT AS (record ->> '$.attempted.sha'),
    delivered TEXT AS (record ->> '$.delivered.sha'),
    delivered_at TEXT AS (record ->> '$.delivered.at'),
    passed TEXT AS (record ->> '$.passed.mark.sha'),
    parked TEXT AS (record ->> '$.parked.mark.sha'),
    gone TEXT AS (record ->> '$.gone'),
    UNIQUE (watch, branch)
) STRICT;

CREATE TABLE watches (
    version INTEGER NOT NULL,
    checksum TEXT NOT NULL,
    record TEXT NOT NULL,
    watch TEXT NOT NULL UNIQUE AS (record ->> '$.watch'),
    repo TEXT AS (record ->> '$.repo'),
    unreachable_since TEXT AS (record ->> '$.unreachable.since')
) STRICT;

CREATE TABLE validators (
    key TEXT NOT NULL UNIQUE,
    validator TEXT NOT NULL,
    checksum TEXT NOT NULL
) STRICT;

CREATE TABLE deliveries (
    version INTEGER NOT NULL,
    checksum TEXT NOT NULL,
    record TEXT NOT NULL,
    id TEXT NOT NULL UNIQUE AS (record ->> '$.id'),
    watch TEXT NOT NULL AS (record ->> '$.watch'),
    branch TEXT AS (record ->> '$.revision.branch'),
    sha TEXT AS (record ->> '$.revision.sha'),
    cause TEXT AS (record ->> '$.cause'),
    state TEXT NOT NULL AS (record ->> '$.state'),
    final INTEGER NOT NULL AS (
        record ->> '$.state' IN ('succeeded', 'failed', 'superseded', 'parked')),
    started TEXT NOT NULL AS (record ->> '$.started'),
    finished TEXT AS (record ->> '$.finished'),
    failures INTEGER AS (record ->> '$.failures'),
    next_attempt TEXT AS (record ->> '$.next_attempt'),
    error TEXT AS (record ->> '$.error')
) STRICT;
CREATE INDEX deliveries_of_watch ON deliveries (watch, id);
CREATE INDEX deliveries_open ON deliveries (id) WHERE final = 0;

CREATE TABLE triggers (
    version INTEGER NOT NULL,
    checksum TEXT NOT NULL,
    record TEXT NOT NULL,
    id TEXT NOT NULL UNIQUE AS (record ->> '$.id'),
    key TEXT NOT NULL UNIQUE AS (record ->> '$.key'),
    watch TEXT NOT NULL AS (record ->> '$.watch'),
    at TEXT NOT NULL AS (record ->> '$.at'),
    state TEXT NOT NULL AS (record ->> '$.state'),
    pending INTEGER NOT NULL AS (record ->> '$.state' = 'pending')
) STRICT;
CREATE INDEX triggers_pending ON triggers (at, id) WHERE pending = 1;

CREATE TABLE heads (
    version INTEGER NOT NULL,
    checksum TEXT NOT NULL,
    record TEXT NOT NULL,
    sha TEXT NOT NULL AS (record ->> '$.revision.sha'),
    watch TEXT NOT NULL AS (record ->> '$.watch'),
    branch TEXT NOT NULL AS (record ->> '$.revision.branch'),
    reason TEXT NOT NULL AS (record ->> '$.reason'),
    at TEXT NOT NULL AS (record ->> '$.at'),
    delivery TEXT AS (record ->> '$.delivery'),
    detail TEXT AS (record ->> '$.detail'),
    UNIQUE (sha, watch, branch)
) STRICT;
CREATE INDEX heads_by_time ON heads (at);

CREATE TABLE suspensions (
    version INTEGER NOT NULL,
    checksum TEXT NOT NULL,
    record TEXT NOT NULL,
    watch TEXT NOT NULL UNIQUE AS (record ->> '$.watch'),
    reason TEXT AS (record ->> '$.reason'),
    since TEXT AS (record ->> '$.since'),
    until TEXT AS (record ->> '$.until')
) STRICT;

CREATE TABLE agent (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    version INTEGER NOT NULL,
    checksum TEXT NOT NULL,
    record TEXT NOT NULL,
    holder TEXT AS (record ->> '$.holder'),
    started TEXT AS (record ->> '$.started'),
    beat TEXT AS (record ->> '$.beat')
) STRICT;
