-- The audit log: what people asked for, one row each.

CREATE TABLE acts (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    version INTEGER NOT NULL,
    checksum TEXT NOT NULL,
    record TEXT NOT NULL,
    at TEXT NOT NULL AS (record ->> '$.at'),
    name TEXT AS (record ->> '$.by'),
    kind TEXT NOT NULL AS (record ->> '$.kind'),
    watch TEXT NOT NULL AS (record ->> '$.watch')
) STRICT;
CREATE INDEX acts_at ON acts (at);
CREATE INDEX acts_of_watch ON acts (watch, number);
CREATE INDEX acts_by ON acts (name, number);
