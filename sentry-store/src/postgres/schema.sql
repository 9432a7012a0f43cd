-- The whole of a record lies in `record`, as JSON in the form that `version` says; columns that are generated are read out of it
-- for people and for indexes. Times are texts with nine digits, which sort as times do. Read these tables, never edit them: what
-- writes them first asks whether the slot is still its own.

-- Every process that is a member, or was of late: until when it lives, in which format it writes, the slots that it wants (a bit
-- each), and how it last said that it is.
CREATE TABLE members (
    id text COLLATE "C" PRIMARY KEY,
    holder text NOT NULL,
    until timestamptz NOT NULL,
    joined timestamptz NOT NULL,
    wanted bigint NOT NULL,
    format integer NOT NULL,
    agent jsonb,
    beat text COLLATE "C" GENERATED ALWAYS AS (agent ->> 'beat') STORED
);

-- Who took which slot; `given_at` once it gave it back.
CREATE TABLE slots (
    slot smallint PRIMARY KEY,
    owner text COLLATE "C" NOT NULL,
    term text COLLATE "C" NOT NULL,
    given_at timestamptz
);
CREATE INDEX slots_of ON slots (owner);

-- The slot that the records of a watch belong to; `free` once its owner has no such watch any more.
CREATE TABLE homes (
    watch text COLLATE "C" PRIMARY KEY,
    slot smallint NOT NULL,
    free boolean NOT NULL
);
CREATE INDEX homes_in ON homes (slot);

CREATE TABLE cursors (
    version integer NOT NULL,
    record jsonb NOT NULL,
    -- Names of watch and subject in small letters.
    searched text COLLATE "C" NOT NULL,
    watch text COLLATE "C" GENERATED ALWAYS AS (record ->> 'watch') STORED,
    subject text COLLATE "C" GENERATED ALWAYS AS (record ->> 'subject') STORED,
    observed text COLLATE "C" GENERATED ALWAYS AS (record #>> '{observed,sha}') STORED,
    delivered text COLLATE "C" GENERATED ALWAYS AS (record #>> '{delivered,sha}') STORED,
    waiting boolean GENERATED ALWAYS AS (
        record ->> 'gone' IS NULL
        AND coalesce(record #>> '{passed,mark,sha}', record #>> '{delivered,sha}')
            IS DISTINCT FROM record #>> '{observed,sha}') STORED,
    succeeded_at text COLLATE "C" GENERATED ALWAYS AS (
        CASE WHEN record #>> '{passed,mark,sha}' IS DISTINCT FROM record #>> '{delivered,sha}'
            THEN record #>> '{delivered,at}' END) STORED,
    PRIMARY KEY (watch, subject)
);
CREATE INDEX cursors_waiting ON cursors (watch, subject) WHERE waiting;
CREATE INDEX cursors_at ON cursors (observed, watch);
CREATE INDEX cursors_succeeded ON cursors (watch, succeeded_at);

CREATE TABLE watches (
    version integer NOT NULL,
    record jsonb NOT NULL,
    watch text COLLATE "C" GENERATED ALWAYS AS (record ->> 'watch') STORED PRIMARY KEY,
    repo text GENERATED ALWAYS AS (record ->> 'repo') STORED
);

-- A slot's own, as two of them may ask the same question.
CREATE TABLE validators (
    slot smallint NOT NULL,
    key text COLLATE "C" NOT NULL,
    validator text NOT NULL,
    PRIMARY KEY (slot, key)
);

-- Without its objects, runs and steps. `totals` says how the runs stand: total, running, succeeded, failed, cancelled, queued.
CREATE TABLE deliveries (
    version integer NOT NULL,
    record jsonb NOT NULL,
    totals integer[] NOT NULL,
    -- Names of watch and subject, title and author of the commit, in small letters, a line each.
    searched text COLLATE "C" NOT NULL,
    id text COLLATE "C" GENERATED ALWAYS AS (record ->> 'id') STORED PRIMARY KEY,
    watch text COLLATE "C" NOT NULL GENERATED ALWAYS AS (record ->> 'watch') STORED,
    subject text COLLATE "C" NOT NULL GENERATED ALWAYS AS (record #>> '{revision,subject}') STORED,
    sha text COLLATE "C" NOT NULL GENERATED ALWAYS AS (record #>> '{revision,sha}') STORED,
    author text COLLATE "C" GENERATED ALWAYS AS (lower((record #>> '{commit,author}') COLLATE "C")) STORED,
    cause text COLLATE "C" GENERATED ALWAYS AS (record ->> 'cause') STORED,
    state text COLLATE "C" NOT NULL GENERATED ALWAYS AS (record ->> 'state') STORED,
    final boolean NOT NULL GENERATED ALWAYS AS (record ->> 'state' IN (
        'succeeded', 'nothing_ran', 'failed', 'superseded', 'parked', 'cancelled')) STORED,
    started text COLLATE "C" NOT NULL GENERATED ALWAYS AS (record ->> 'started') STORED,
    finished text COLLATE "C" GENERATED ALWAYS AS (record ->> 'finished') STORED,
    ended text COLLATE "C" NOT NULL GENERATED ALWAYS AS (coalesce(record ->> 'finished', record ->> 'started')) STORED,
    error text GENERATED ALWAYS AS (record ->> 'error') STORED
);
CREATE INDEX deliveries_of_watch ON deliveries (watch, id, state);
CREATE INDEX deliveries_of_subject ON deliveries (watch, subject, id);
CREATE INDEX deliveries_of_branch ON deliveries (subject, id);
CREATE INDEX deliveries_of_commit ON deliveries (sha, watch, id);
CREATE INDEX deliveries_of_author ON deliveries (author, id);
CREATE INDEX deliveries_by_state ON deliveries (state, id);
CREATE INDEX deliveries_open ON deliveries (watch, subject, id) WHERE NOT final;
CREATE INDEX deliveries_ended ON deliveries (ended) WHERE final;

-- The objects, runs and steps of deliveries.
CREATE TABLE delivery_parts (
    delivery text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    place integer NOT NULL,
    version integer NOT NULL,
    record jsonb NOT NULL,
    name text GENERATED ALWAYS AS (record #>> '{object,name}') STORED,
    state text GENERATED ALWAYS AS (coalesce(record ->> 'action', record ->> 'state', record ->> 'step')) STORED,
    PRIMARY KEY (delivery, kind, place)
);

CREATE TABLE triggers (
    version integer NOT NULL,
    record jsonb NOT NULL,
    id text COLLATE "C" GENERATED ALWAYS AS (record ->> 'id') STORED PRIMARY KEY,
    key text COLLATE "C" NOT NULL UNIQUE GENERATED ALWAYS AS (record ->> 'key') STORED,
    watch text COLLATE "C" NOT NULL GENERATED ALWAYS AS (record ->> 'watch') STORED,
    at text COLLATE "C" NOT NULL GENERATED ALWAYS AS (record ->> 'at') STORED,
    pending boolean NOT NULL GENERATED ALWAYS AS (record ->> 'state' = 'pending') STORED
);
CREATE INDEX triggers_pending ON triggers (at, id) WHERE pending;
CREATE INDEX triggers_answered ON triggers (at) WHERE NOT pending;

CREATE TABLE heads (
    version integer NOT NULL,
    record jsonb NOT NULL,
    sha text COLLATE "C" GENERATED ALWAYS AS (record #>> '{revision,sha}') STORED,
    watch text COLLATE "C" GENERATED ALWAYS AS (record ->> 'watch') STORED,
    subject text COLLATE "C" GENERATED ALWAYS AS (record #>> '{revision,subject}') STORED,
    at text COLLATE "C" NOT NULL GENERATED ALWAYS AS (record ->> 'at') STORED,
    PRIMARY KEY (sha, watch, subject)
);
CREATE INDEX heads_by_time ON heads (at);

CREATE TABLE reports (
    version integer NOT NULL,
    record jsonb NOT NULL,
    watch text COLLATE "C" GENERATED ALWAYS AS (record ->> 'watch') STORED,
    sha text COLLATE "C" GENERATED ALWAYS AS (record #>> '{status,revision,sha}') STORED,
    context text COLLATE "C" GENERATED ALWAYS AS (record #>> '{status,context}') STORED,
    at text COLLATE "C" NOT NULL GENERATED ALWAYS AS (record ->> 'at') STORED,
    error text GENERATED ALWAYS AS (record ->> 'error') STORED,
    given_up boolean NOT NULL GENERATED ALWAYS AS ((record -> 'given_up')::boolean) STORED,
    due boolean NOT NULL GENERATED ALWAYS AS (
        NOT (record -> 'given_up')::boolean
        AND record ->> 'sent' IS DISTINCT FROM record #>> '{status,state}') STORED,
    PRIMARY KEY (watch, sha, context)
);
CREATE INDEX reports_due ON reports (watch, at) WHERE due;
CREATE INDEX reports_settled ON reports (watch, at) WHERE NOT due;
CREATE INDEX reports_old ON reports (at) WHERE NOT due;

CREATE TABLE inventory (
    version integer NOT NULL,
    record jsonb NOT NULL,
    identity text COLLATE "C" NOT NULL,
    watch text COLLATE "C" GENERATED ALWAYS AS (record ->> 'watch') STORED,
    delivery text COLLATE "C" NOT NULL GENERATED ALWAYS AS (record ->> 'delivery') STORED,
    at text COLLATE "C" NOT NULL GENERATED ALWAYS AS (record ->> 'at') STORED,
    PRIMARY KEY (watch, identity)
);
CREATE INDEX inventory_by_time ON inventory (at);

CREATE TABLE outbox (
    version integer NOT NULL,
    record jsonb NOT NULL,
    receiver text COLLATE "C" GENERATED ALWAYS AS (record ->> 'receiver') STORED,
    id text COLLATE "C" GENERATED ALWAYS AS (record #>> '{notice,id}') STORED,
    at text COLLATE "C" NOT NULL GENERATED ALWAYS AS (record #>> '{notice,at}') STORED,
    watch text COLLATE "C" NOT NULL GENERATED ALWAYS AS (record #>> '{notice,watch}') STORED,
    error text GENERATED ALWAYS AS (record ->> 'error') STORED,
    PRIMARY KEY (receiver, id)
);
CREATE INDEX outbox_of_watch ON outbox (watch);

CREATE TABLE troubles (
    version integer NOT NULL,
    record jsonb NOT NULL,
    watch text COLLATE "C" GENERATED ALWAYS AS (record ->> 'watch') STORED,
    subject text COLLATE "C" GENERATED ALWAYS AS (record ->> 'subject') STORED,
    at text COLLATE "C" NOT NULL GENERATED ALWAYS AS (record ->> 'at') STORED,
    PRIMARY KEY (watch, subject)
);

CREATE TABLE suspensions (
    version integer NOT NULL,
    record jsonb NOT NULL,
    watch text COLLATE "C" GENERATED ALWAYS AS (record ->> 'watch') STORED PRIMARY KEY
);

-- The audit log.
CREATE TABLE acts (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    version integer NOT NULL,
    record jsonb NOT NULL,
    at text COLLATE "C" NOT NULL GENERATED ALWAYS AS (record ->> 'at') STORED,
    name text COLLATE "C" GENERATED ALWAYS AS (record ->> 'by') STORED,
    watch text COLLATE "C" NOT NULL GENERATED ALWAYS AS (record ->> 'watch') STORED
);
CREATE INDEX acts_at ON acts (at);
CREATE INDEX acts_of_watch ON acts (watch, number);
CREATE INDEX acts_by ON acts (name, number);
