-- What deliveries got from elsewhere, by its content, for as long as they are open: the commit that ends a delivery forgets it.
-- Its digest is its checksum.

CREATE TABLE blobs (
    delivery TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    bytes BLOB NOT NULL,
    PRIMARY KEY (delivery, sha256)
) STRICT;

CREATE TRIGGER deliveries_ended AFTER UPDATE ON deliveries WHEN new.final = 1 BEGIN
    DELETE FROM blobs WHERE delivery = new.id;
END;
CREATE TRIGGER deliveries_gone AFTER DELETE ON deliveries BEGIN
    DELETE FROM blobs WHERE delivery = old.id;
END;
