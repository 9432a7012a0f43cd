-- Who works on the state: only the newest claim commits.

CREATE TABLE claims (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    epoch INTEGER NOT NULL,
    holder TEXT NOT NULL
) STRICT;
