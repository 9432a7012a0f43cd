-- Deliveries are found by their branch, by who wrote their commit, and by a part of any text that people know them by.
-- `searched` is that text, a line each; `delivery_texts` numbers them, as rows of `deliveries` have no number that stays, and
-- `delivery_search` is the index of all sequences of three characters in it (<https://www.sqlite.org/fts5.html>, 4.4.3). Both
-- follow `deliveries` by triggers alone. As in the first schema, `record` is the whole of a row.

ALTER TABLE deliveries ADD COLUMN author TEXT AS (record ->> '$.commit.author');
ALTER TABLE deliveries ADD COLUMN searched TEXT AS (
    (record ->> '$.watch') || char(10)
    || replace(coalesce(record ->> '$.revision.subject', record ->> '$.revision.branch'), 'refs/heads/', '') || char(10)
    || coalesce(record ->> '$.commit.title', '') || char(10) || coalesce(record ->> '$.commit.author', ''));
CREATE INDEX deliveries_of_branch ON deliveries (subject, id, state);
CREATE INDEX deliveries_of_author ON deliveries (author COLLATE NOCASE, id, state);

CREATE TABLE delivery_texts (
    number INTEGER PRIMARY KEY,
    delivery TEXT NOT NULL UNIQUE,
    searched TEXT NOT NULL
) STRICT;
CREATE VIRTUAL TABLE delivery_search USING fts5 (
    searched, content = 'delivery_texts', content_rowid = 'number', tokenize = 'trigram');

CREATE TRIGGER delivery_texts_added AFTER INSERT ON delivery_texts BEGIN
    INSERT INTO delivery_search (rowid, searched) VALUES (new.number, new.searched);
END;
CREATE TRIGGER delivery_texts_changed AFTER UPDATE ON delivery_texts BEGIN
    INSERT INTO delivery_search (delivery_search, rowid, searched) VALUES ('delete', old.number, old.searched);
    INSERT INTO delivery_search (rowid, searched) VALUES (new.number, new.searched);
END;
CREATE TRIGGER delivery_texts_removed AFTER DELETE ON delivery_texts BEGIN
    INSERT INTO delivery_search (delivery_search, rowid, searched) VALUES ('delete', old.number, old.searched);
END;

INSERT INTO delivery_texts (delivery, searched) SELECT id, searched FROM deliveries ORDER BY id;

CREATE TRIGGER deliveries_added AFTER INSERT ON deliveries BEGIN
    INSERT INTO delivery_texts (delivery, searched) VALUES (new.id, new.searched);
END;
CREATE TRIGGER deliveries_changed AFTER UPDATE ON deliveries WHEN old.searched IS NOT new.searched BEGIN
    UPDATE delivery_texts SET searched = new.searched WHERE delivery = new.id;
END;
CREATE TRIGGER deliveries_removed AFTER DELETE ON deliveries BEGIN
    DELETE FROM delivery_texts WHERE delivery = old.id;
END;
