-- A delivery that somebody cancelled is final as well. As in the first schema, `record` is the whole of it.

DROP INDEX deliveries_open;
ALTER TABLE deliveries DROP COLUMN final;
ALTER TABLE deliveries ADD COLUMN final INTEGER AS (
    record ->> '$.state' IN ('succeeded', 'nothing_ran', 'failed', 'superseded', 'parked', 'cancelled'));
CREATE INDEX deliveries_open ON deliveries (watch, subject, id) WHERE final = 0;
