-- What sessions of the page need: the key that they are signed with, and those that were ended before their time, as long as
-- they would have lasted. Times are milliseconds since 1970, by the clocks of the processes.

CREATE TABLE session_key (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    key bytea NOT NULL
);

-- A row without an id is about all sessions of its token that had begun by then.
CREATE TABLE ended_sessions (
    token text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    begun bigint NOT NULL,
    PRIMARY KEY (token, id)
);
CREATE INDEX ended_sessions_by_id ON ended_sessions (id);
CREATE INDEX ended_sessions_by_time ON ended_sessions (begun);

CREATE FUNCTION sentry_end_session_1(
    of_token text, of_id text, of_begun bigint, moment bigint, lasts bigint, most bigint)
RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM ended_sessions WHERE begun <= moment - lasts;
    INSERT INTO ended_sessions (token, id, begun) VALUES (of_token, of_id, of_begun) ON CONFLICT DO NOTHING;
    IF (SELECT count(*) FROM ended_sessions WHERE token = of_token AND id <> '') > most THEN
        DELETE FROM ended_sessions WHERE token = of_token;
        INSERT INTO ended_sessions (token, id, begun) VALUES (of_token, '', moment)
        ON CONFLICT (token, id) DO UPDATE SET begun = greatest(ended_sessions.begun, excluded.begun);
    END IF;
END $$;
