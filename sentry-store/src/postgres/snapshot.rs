//! All live state of a slot, in one statement: of one moment, at which the slot was held under the term.

use sentry_core::forge::Validator;
use sentry_core::store::Snapshot;
use tokio_postgres::Row;

use super::failure::Failure;
use super::part::Part;
use super::rows::{deliveries, get, record};

/// Rows of id, kind, place, version, text and table: the first three are those of deliveries and their parts, and elsewhere the
/// order.
const LIVE: &str = r#"WITH own AS MATERIALIZED (SELECT watch FROM homes WHERE slot = $1),
    open AS MATERIALIZED (SELECT d.* FROM deliveries d JOIN own USING (watch) WHERE NOT d.final),
    live AS (
        SELECT '' AS id, '' AS kind, 0 AS place, 0 AS version, '' AS record, 'slot' AS "table"
            FROM slots WHERE slot = $1 AND term = $2 AND given_at IS NULL
        UNION ALL SELECT watch, subject, 0, version, record::text, 'cursors' FROM cursors JOIN own USING (watch)
        UNION ALL SELECT watch, '', 0, version, record::text, 'watches' FROM watches JOIN own USING (watch)
        UNION ALL SELECT key, '', 0, 0, validator, 'validators' FROM validators WHERE slot = $1
        UNION ALL SELECT id, '', 0, version, record::text, 'open' FROM open
        UNION ALL SELECT p.delivery, p.kind, p.place, p.version, p.record::text, 'open'
            FROM delivery_parts p JOIN open ON p.delivery = open.id
        UNION ALL SELECT at, context, 0, version, record::text, 'reports' FROM reports JOIN own USING (watch) WHERE due
        UNION ALL SELECT id, receiver, 0, version, record::text, 'outbox' FROM outbox JOIN own USING (watch)
        UNION ALL SELECT watch, subject, 0, version, record::text, 'troubles' FROM troubles JOIN own USING (watch)
        UNION ALL SELECT at, id, 0, version, record::text, 'triggers' FROM triggers JOIN own USING (watch) WHERE pending
        UNION ALL SELECT watch, '', 0, version, record::text, 'suspensions' FROM suspensions JOIN own USING (watch)
        UNION ALL (SELECT '', '', 0, format, agent::text, 'agent' FROM members
            WHERE agent IS NOT NULL ORDER BY beat DESC LIMIT 1))
    SELECT * FROM live ORDER BY "table", id COLLATE "C", kind COLLATE "C", place"#;

pub(super) async fn snapshot(part: &Part) -> Result<Snapshot, Failure> {
    let rows = part.store.pool().rows(LIVE, &part.values()).await?;
    let mut all = Snapshot::default();
    let (mut open, mut is_held): (Vec<Row>, bool) = (Vec::new(), false);
    for row in rows {
        match get(&row, 5)? {
            "slot" => is_held = true,
            "cursors" => all.cursors.push(record(&row, 3)?),
            "watches" => all.watches.push(record(&row, 3)?),
            "validators" => all.validators.push((get(&row, 0)?, Validator(get(&row, 4)?))),
            "open" => open.push(row),
            "reports" => all.reports.push(record(&row, 3)?),
            "outbox" => all.outbox.push(record(&row, 3)?),
            "troubles" => all.troubles.push(record(&row, 3)?),
            "triggers" => all.inbox.triggers.push(record(&row, 3)?),
            "suspensions" => all.inbox.suspensions.push(record(&row, 3)?),
            "agent" => all.agent = Some(record(&row, 3)?),
            other => return Err(Failure::Damaged(format!("a table {other}"))),
        }
    }
    if !is_held {
        return Err(part.fenced(""));
    }
    all.open = deliveries(&open)?;
    Ok(all)
}
