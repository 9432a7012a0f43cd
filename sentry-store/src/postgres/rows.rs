//! What rows hold, and the one way of reading them.

use std::str::FromStr;

use sentry_core::closed_list::ClosedList;
use sentry_core::delivery::{Delivery, RunTotals};
use sentry_core::store::Brief;
use tokio_postgres::Row;
use tokio_postgres::types::FromSql;

use super::failure::Failure;
use crate::dto::{self, Record};

/// The value of a column.
pub(super) fn get<'r, T: FromSql<'r>>(row: &'r Row, column: usize) -> Result<T, Failure> {
    Ok(row.try_get(column)?)
}

/// The record of a row whose version and text begin at this column.
pub(super) fn record<R: Record>(row: &Row, from: usize) -> Result<R, Failure> {
    Ok(R::decode(version(row, from)?, get(row, from + 1)?)?)
}

/// The same where the row may have none.
pub(super) fn optional<R: Record>(row: &Row, from: usize) -> Result<Option<R>, Failure> {
    let there: Option<i32> = get(row, from)?;
    there.map(|_| record(row, from)).transpose()
}

/// The records of rows that begin with version and text.
pub(super) fn records<R: Record>(rows: &[Row]) -> Result<Vec<R>, Failure> {
    rows.iter().map(|row| record(row, 0)).collect()
}

/// What is read of a delivery in brief, in this order.
pub(super) const BRIEF: &str = "version, record::text, totals";

/// A delivery in brief, whose [`BRIEF`] begins at this column.
pub(super) fn brief(row: &Row, from: usize) -> Result<Brief, Failure> {
    let totals: Vec<i32> = get(row, from + 2)?;
    let counts: Vec<usize> = totals.iter().map(|n| usize::try_from(*n).unwrap_or(0)).collect();
    let [total, running, succeeded, failed, cancelled, queued] = counts[..] else {
        return Err(Failure::Damaged(format!("a delivery's runs can't be {totals:?}")));
    };
    let runs = RunTotals { total, running, succeeded, failed, cancelled, queued };
    Ok(Brief { runs, ..dto::brief(version(row, from)?, get(row, from + 1)?)? })
}

/// Deliveries, each followed by its parts: rows of id, kind, place, version and text, a delivery's own kind being empty.
pub(super) fn deliveries(rows: &[Row]) -> Result<Vec<Delivery>, Failure> {
    let mut found: Vec<Delivery> = Vec::new();
    for row in rows {
        let (id, kind): (&str, &str) = (get(row, 0)?, get(row, 1)?);
        match (found.last_mut().filter(|delivery| delivery.id.as_str() == id), kind) {
            (_, "") => found.push(record(row, 3)?),
            (Some(delivery), "objects") => delivery.objects.push(record(row, 3)?),
            (Some(delivery), "runs") => delivery.runs.push(record(row, 3)?),
            (Some(delivery), "steps") => delivery.steps.push(record(row, 3)?),
            _ => return Err(Failure::Damaged(format!("a part {kind:?} of delivery {id}"))),
        }
    }
    Ok(found)
}

pub(super) fn version(row: &Row, column: usize) -> Result<u32, Failure> {
    Ok(u32::try_from(get::<i32>(row, column)?).unwrap_or(u32::MAX))
}

/// A value that is kept as a text.
pub(super) fn parsed<T: FromStr>(text: &str) -> Result<T, Failure> {
    text.parse().map_err(|_| odd("value of its column", text))
}

/// A word of a closed list.
pub(super) fn word<T: ClosedList>(text: &str) -> Result<T, Failure> {
    T::from_word(text).ok_or_else(|| odd("word of its list", text))
}

pub(super) fn odd(what: &str, text: &str) -> Failure {
    Failure::Damaged(format!("{text:?} is no {what}"))
}
