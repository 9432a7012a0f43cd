-- Statuses that are shown on A's commits, and what was put where. As in the first schema, `record` is the whole of it.

CREATE TABLE reports (
    version INTEGER NOT NULL,
    checksum TEXT NOT NULL,
    record TEXT NOT NULL,
    watch TEXT NOT NULL AS (record ->> '$.watch'),
    sha TEXT NOT NULL AS (record ->> '$.status.revision.sha'),
    context TEXT NOT NULL AS (record ->> '$.status.context'),
    state TEXT NOT NULL AS (record ->> '$.status.state'),
    sent TEXT AS (record ->> '$.sent'),
    at TEXT NOT NULL AS (record ->> '$.at'),
    due INTEGER NOT NULL AS (
        NOT (record ->> '$.given_up') AND (record ->> '$.sent') IS NOT (record ->> '$.status.state')),
    UNIQUE (watch, sha, context)
) STRICT;
CREATE INDEX reports_due ON reports (at) WHERE due = 1;
CREATE INDEX reports_settled ON reports (watch, at) WHERE due = 0;

CREATE TABLE inventory (
    version INTEGER NOT NULL,
    checksum TEXT NOT NULL,
    record TEXT NOT NULL,
    identity TEXT NOT NULL,
    watch TEXT NOT NULL AS (record ->> '$.watch'),
    branch TEXT AS (record ->> '$.branch'),
    kind TEXT AS (record ->> '$.object.kind'),
    namespace TEXT AS (record ->> '$.object.namespace'),
    name TEXT AS (record ->> '$.object.name'),
    delivery TEXT AS (record ->> '$.delivery'),
    at TEXT AS (record ->> '$.at'),
    UNIQUE (watch, identity)
) STRICT;
