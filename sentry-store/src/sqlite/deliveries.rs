//! Deliveries: a row for each, and one for each of its objects, runs and steps, which are written where they changed.

use rusqlite::{Connection, Params, Row, params};
use sentry_core::clock::Timestamp;
use sentry_core::delivery::{Delivery, RunTotals};
use sentry_core::store::Brief;

use super::failure::Failure;
use super::rows::{BATCH, checksum, columns, matches, read};
use crate::dto::{self, Record, VERSION};

/// What is read of a delivery's row, in this order.
pub(super) const COLUMNS: &str = "version, checksum, record, parts";

/// The tables of a delivery's parts.
const PARTS: [&str; 3] = ["delivery_objects", "delivery_runs", "delivery_steps"];

/// How many rows a delivery has in the other tables, and how its runs stand; so that a row that is missing is found, and what
/// is shown of many deliveries is in one row each.
struct Parts {
    rows: [usize; 3],
    runs: RunTotals,
}

impl Parts {
    fn of(delivery: &Delivery) -> Self {
        let rows = [delivery.objects.len(), delivery.runs.len(), delivery.steps.len()];
        Self { rows, runs: delivery.run_totals() }
    }

    fn text(&self) -> String {
        let RunTotals { total, running, succeeded, failed, cancelled, queued } = self.runs;
        let runs = [total, running, succeeded, failed, cancelled, queued];
        let numbers: Vec<String> = self.rows.iter().chain(&runs).map(usize::to_string).collect();
        numbers.join(" ")
    }

    fn read(text: &str) -> Result<Self, Failure> {
        let unreadable = || Failure::Damaged(format!("a delivery's parts can't be {text:?}"));
        let numbers: Result<Vec<usize>, _> = text.split(' ').map(str::parse).collect();
        let numbers: [usize; 9] =
            numbers.ok().and_then(|n| n.try_into().ok()).ok_or_else(unreadable)?;
        let [objects, runs, steps, total, running, succeeded, failed, cancelled, queued] = numbers;
        let totals = RunTotals { total, running, succeeded, failed, cancelled, queued };
        Ok(Self { rows: [objects, runs, steps], runs: totals })
    }
}

/// Inserts a delivery, or changes the rows that are other than before.
pub(super) fn put(db: &Connection, delivery: &Delivery) -> Result<(), Failure> {
    let parts = Parts::of(delivery).text();
    let (objects, runs, steps) = (Vec::new(), Vec::new(), Vec::new());
    let json = Delivery { objects, runs, steps, ..delivery.clone() }.encode()?;
    let sum = checksum(&format!("{VERSION} {parts}"), &json);
    let sql = "INSERT INTO deliveries (version, checksum, record, parts) VALUES (?1, ?2, ?3, ?4)
               ON CONFLICT (id) DO UPDATE SET version = excluded.version,
                   checksum = excluded.checksum, record = excluded.record, parts = excluded.parts
               WHERE checksum <> excluded.checksum";
    db.prepare_cached(sql)?.execute(params![VERSION, sum, json, parts])?;
    let [objects, runs, steps] = PARTS;
    put_parts(db, objects, delivery, &delivery.objects)?;
    put_parts(db, runs, delivery, &delivery.runs)?;
    put_parts(db, steps, delivery, &delivery.steps)
}

fn put_parts<R: Record>(
    db: &Connection,
    table: &str,
    of: &Delivery,
    parts: &[R],
) -> Result<(), Failure> {
    let sql = format!(
        "INSERT INTO {table} (delivery, place, version, checksum, record) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (delivery, place) DO UPDATE SET version = excluded.version,
             checksum = excluded.checksum, record = excluded.record
         WHERE checksum <> excluded.checksum"
    );
    let mut insert = db.prepare_cached(&sql)?;
    for (place, part) in parts.iter().enumerate() {
        let (version, sum, json) = columns(part)?;
        insert.execute(params![of.id.as_str(), index(place), version, sum, json])?;
    }
    let surplus = format!("DELETE FROM {table} WHERE delivery = ?1 AND place >= ?2");
    db.prepare_cached(&surplus)?.execute(params![of.id.as_str(), index(parts.len())])?;
    Ok(())
}

fn index(place: usize) -> i64 {
    i64::try_from(place).unwrap_or(i64::MAX)
}

/// The deliveries that a statement finds, whole.
pub(super) fn whole(
    db: &Connection,
    sql: &str,
    params: impl Params,
) -> Result<Vec<Delivery>, Failure> {
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let mut deliveries = Vec::new();
    while let Some(row) = rows.next()? {
        let (version, json, parts) = checked(row, 0)?;
        let mut delivery = Delivery::decode(version, json)?;
        if let Some(parts) = parts {
            let [objects, runs, steps] = PARTS;
            let [of_objects, of_runs, of_steps] = parts.rows;
            delivery.objects = read_parts(db, objects, &delivery, of_objects)?;
            delivery.runs = read_parts(db, runs, &delivery, of_runs)?;
            delivery.steps = read_parts(db, steps, &delivery, of_steps)?;
        }
        deliveries.push(delivery);
    }
    Ok(deliveries)
}

/// The deliveries that a statement finds, in brief.
pub(super) fn briefs(
    db: &Connection,
    sql: &str,
    params: impl Params,
) -> Result<Vec<Brief>, Failure> {
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let mut briefs = Vec::new();
    while let Some(row) = rows.next()? {
        briefs.push(brief(row, 0)?);
    }
    Ok(briefs)
}

/// The delivery of a row in brief, whose [`COLUMNS`] begin at this one.
pub(super) fn brief(row: &Row<'_>, from: usize) -> Result<Brief, Failure> {
    match checked(row, from)? {
        (version, json, Some(parts)) => {
            Ok(Brief { runs: parts.runs, ..dto::brief(version, json)? })
        }
        (version, json, None) => Ok(Brief::from(&Delivery::decode(version, json)?)),
    }
}

/// What a row holds whose [`COLUMNS`] begin at this one; a row of before schema 7 has no parts, and is whole.
fn checked<'r>(row: &'r Row<'_>, from: usize) -> Result<(u32, &'r str, Option<Parts>), Failure> {
    let version: i64 = row.get(from)?;
    let text = |column| row.get_ref(column)?.as_str().map_err(rusqlite::Error::from);
    let (json, parts) = (text(from + 2)?, text(from + 3)?);
    let first = if parts.is_empty() { version.to_string() } else { format!("{version} {parts}") };
    matches(row, from + 1, &checksum(&first, json))?;
    let parts = (!parts.is_empty()).then(|| Parts::read(parts)).transpose()?;
    Ok((u32::try_from(version).unwrap_or(u32::MAX), json, parts))
}

fn read_parts<R: Record>(
    db: &Connection,
    table: &str,
    of: &Delivery,
    number: usize,
) -> Result<Vec<R>, Failure> {
    let sql =
        format!("SELECT version, checksum, record FROM {table} WHERE delivery = ?1 ORDER BY place");
    let parts: Vec<R> = read(db, &sql, [of.id.as_str()])?;
    if parts.len() == number {
        return Ok(parts);
    }
    let (id, found) = (&of.id, parts.len());
    Err(Failure::Damaged(format!("delivery {id} has {found} of {number} rows in {table}")))
}

/// Forgets final deliveries older than this, but never the newest of a watch.
pub(super) fn prune(db: &Connection, before: Timestamp, keep: usize) -> Result<(), Failure> {
    let sql = "DELETE FROM deliveries WHERE final = 1 AND coalesce(finished, started) < ?1
                   AND id NOT IN (
                       SELECT id FROM (
                           SELECT id, row_number() OVER (PARTITION BY watch ORDER BY id DESC) AS place
                           FROM deliveries)
                       WHERE place <= ?2)
               RETURNING id";
    let mut delete = db.prepare_cached(sql)?;
    let gone = delete.query_map(params![format!("{before:.9}"), index(keep)], |row| row.get(0))?;
    let gone: Vec<String> = gone.collect::<Result<_, _>>()?;
    for table in PARTS {
        let mut parts = db.prepare_cached(&format!("DELETE FROM {table} WHERE delivery = ?1"))?;
        for id in &gone {
            parts.execute([id])?;
        }
    }
    Ok(())
}

/// Reads every one and forgets it. Its row and those of its parts are read at one moment.
pub(super) fn check(db: &Connection) -> Result<(), Failure> {
    let ids =
        format!("SELECT rowid, id FROM deliveries WHERE rowid > ?1 ORDER BY rowid LIMIT {BATCH}");
    let one = format!("SELECT {COLUMNS} FROM deliveries WHERE id = ?1");
    let mut last = Some(i64::MIN);
    while let Some(after) = last.take() {
        let moment = db.unchecked_transaction()?;
        let mut statement = moment.prepare_cached(&ids)?;
        let mut rows = statement.query([after])?;
        while let Some(row) = rows.next()? {
            last = Some(row.get(0)?);
            whole(db, &one, [row.get::<_, String>(1)?])?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use sentry_core::testing::sample;

    use super::*;
    use crate::sqlite::schema;

    fn changed(db: &Connection) -> i64 {
        db.query_row("SELECT total_changes()", [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn of_a_delivery_only_the_rows_that_changed_are_written() {
        let mut db = Connection::open_in_memory().unwrap();
        schema::migrate(&mut db).unwrap();
        // What is searched follows by itself, in rows of its own.
        db.execute_batch("DROP TRIGGER deliveries_added; DROP TRIGGER deliveries_changed").unwrap();
        let mut delivery = sample::delivery(1);
        let written = |delivery: &Delivery| {
            let before = changed(&db);
            put(&db, delivery).unwrap();
            changed(&db) - before
        };
        let parts = delivery.objects.len() + delivery.runs.len() + delivery.steps.len();
        assert_eq!(written(&delivery), 1 + i64::try_from(parts).unwrap());
        assert_eq!(written(&delivery), 0);
        delivery.attempts.tries += 1;
        assert_eq!(written(&delivery), 1);
        delivery.objects[0].reason = Some("another".to_owned());
        assert_eq!(written(&delivery), 1);
        delivery.steps.clear();
        delivery.objects.push(delivery.objects[0].clone());
        assert_eq!(
            written(&delivery),
            1 + 1 + i64::try_from(sample::delivery(1).steps.len()).unwrap()
        );
    }

    #[test]
    fn a_part_that_is_missing_is_damage() {
        let mut db = Connection::open_in_memory().unwrap();
        schema::migrate(&mut db).unwrap();
        let sql = format!("SELECT {COLUMNS} FROM deliveries");
        for table in PARTS {
            put(&db, &sample::delivery(1)).unwrap();
            assert_eq!(whole(&db, &sql, []).unwrap(), [sample::delivery(1)]);
            db.execute(&format!("DELETE FROM {table} WHERE place = 0"), []).unwrap();
            let told = format!("{:?}", whole(&db, &sql, []).unwrap_err());
            assert!(told.contains(table) && told.contains("Damaged"), "{told}");
        }
    }

    #[test]
    fn a_delivery_of_an_older_schema_is_whole_in_its_row_until_it_is_written_again() {
        let mut db = Connection::open_in_memory().unwrap();
        schema::migrate(&mut db).unwrap();
        let (version, sum, json) = columns(&sample::delivery(1)).unwrap();
        let sql = "INSERT INTO deliveries (version, checksum, record) VALUES (?1, ?2, ?3)";
        db.execute(sql, params![version, sum, json]).unwrap();
        let sql = format!("SELECT {COLUMNS} FROM deliveries");
        assert_eq!(whole(&db, &sql, []).unwrap(), [sample::delivery(1)]);
        assert_eq!(briefs(&db, &sql, []).unwrap(), [Brief::from(&sample::delivery(1))]);
        put(&db, &sample::delivery(1)).unwrap();
        assert_eq!(whole(&db, &sql, []).unwrap(), [sample::delivery(1)]);
        assert_eq!(briefs(&db, &sql, []).unwrap(), [Brief::from(&sample::delivery(1))]);
    }
}
