-- What deliveries got from elsewhere, by its content, for as long as they are open: the commit that ends a delivery forgets it,
-- whichever version of Sentry makes it.

CREATE TABLE blobs (
    delivery text COLLATE "C" NOT NULL,
    sha256 text COLLATE "C" NOT NULL,
    bytes bytea NOT NULL,
    PRIMARY KEY (delivery, sha256)
);

CREATE FUNCTION sentry_forget_blobs_1() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM blobs WHERE delivery = old.id;
    RETURN NULL;
END $$;

CREATE TRIGGER deliveries_ended AFTER UPDATE ON deliveries
FOR EACH ROW WHEN (new.final AND NOT old.final) EXECUTE FUNCTION sentry_forget_blobs_1();
CREATE TRIGGER deliveries_gone AFTER DELETE ON deliveries
FOR EACH ROW EXECUTE FUNCTION sentry_forget_blobs_1();
