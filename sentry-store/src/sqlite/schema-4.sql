-- A delivery that ended with nothing to run is final as well, and what was delivered at one commit is found by it. As in
-- the first schema, `record` is the whole of it.

DROP INDEX deliveries_open;
ALTER TABLE deliveries DROP COLUMN final;
ALTER TABLE deliveries ADD COLUMN final INTEGER AS (
    record ->> '$.state' IN ('succeeded', 'nothing_ran', 'failed', 'superseded', 'parked'));
CREATE INDEX deliveries_open ON deliveries (id) WHERE final = 0;
CREATE INDEX deliveries_of_commit ON deliveries (sha, watch, id);
