-- What receivers are still to be told, and what they were told of branches that fail. As in the first schema, `record` is
-- the whole of it.

CREATE TABLE outbox (
    version INTEGER NOT NULL,
    checksum TEXT NOT NULL,
    record TEXT NOT NULL,
    receiver TEXT NOT NULL AS (record ->> '$.receiver'),
    id TEXT NOT NULL AS (record ->> '$.notice.id'),
    at TEXT NOT NULL AS (record ->> '$.notice.at'),
    watch TEXT AS (record ->> '$.notice.watch'),
    branch TEXT AS (record ->> '$.notice.revision.branch'),
    route TEXT AS (record ->> '$.notice.route'),
    occasion TEXT AS (record ->> '$.notice.occasion'),
    tries INTEGER AS (record ->> '$.tries'),
    error TEXT AS (record ->> '$.error'),
    UNIQUE (receiver, id)
) STRICT;

CREATE TABLE troubles (
    version INTEGER NOT NULL,
    checksum TEXT NOT NULL,
    record TEXT NOT NULL,
    watch TEXT NOT NULL AS (record ->> '$.watch'),
    branch TEXT NOT NULL AS (record ->> '$.branch'),
    at TEXT NOT NULL AS (record ->> '$.at'),
    UNIQUE (watch, branch)
) STRICT;
