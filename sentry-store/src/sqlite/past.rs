//! Deliveries of the past, as far as others are compared with them: columns of their rows alone, in the order of an index.

use std::str::FromStr;

use rusqlite::types::ToSql;
use rusqlite::{Connection, Row, params_from_iter};
use sentry_core::closed_list::ClosedList;
use sentry_core::names::WatchName;
use sentry_core::repo::CommitSha;
use sentry_core::revision::Revision;
use sentry_core::store::{Past, PastQuery, PastRun};
use sentry_core::subject::Subject;

use super::failure::Failure;

const RUNS: &str = "SELECT record ->> '$.object.path', record ->> '$.object.document', name, state,
        record ->> '$.started', record ->> '$.completed'
    FROM delivery_runs WHERE delivery = ? ORDER BY place";

/// The newest deliveries of a watch that are asked for, newest first. Ids grow with time: what is older than `since` ends it.
pub(super) fn past(
    db: &Connection,
    watch: &WatchName,
    query: &PastQuery,
) -> Result<Vec<Past>, Failure> {
    let (sql, values) = select(watch, query);
    let mut statement = db.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let mut past = one(row)?;
        if query.since.is_some_and(|since| past.started < since) {
            break;
        }
        if found.len() < query.with_runs {
            past.runs = runs(db, past.id.as_str())?;
        }
        found.push(past);
    }
    Ok(found)
}

fn select(watch: &WatchName, query: &PastQuery) -> (String, Vec<Box<dyn ToSql>>) {
    let mut sql = "SELECT id, subject, sha, record ->> '$.dry_run', state, record ->> '$.verdict',
            started, finished FROM deliveries WHERE watch = ?"
        .to_owned();
    let mut values: Vec<Box<dyn ToSql>> = vec![Box::new(watch.to_string())];
    if let Some(subject) = &query.subject {
        sql.push_str(" AND subject = ?");
        values.push(Box::new(subject.reference()));
    }
    if let Some(before) = &query.before {
        sql.push_str(" AND id < ?");
        values.push(Box::new(before.to_string()));
    }
    sql.push_str(" ORDER BY id DESC LIMIT ?");
    values.push(Box::new(i64::try_from(query.limit).unwrap_or(i64::MAX)));
    (sql, values)
}

fn one(row: &Row<'_>) -> Result<Past, Failure> {
    let reference: String = row.get(1)?;
    let subject = Subject::at(&reference).map_err(|_| odd("reference", &reference))?;
    Ok(Past {
        id: parsed(row, 0)?,
        revision: Revision { subject, sha: parsed::<CommitSha>(row, 2)? },
        dry_run: row.get::<_, Option<bool>>(3)?.unwrap_or_default(),
        state: word(row, 4)?,
        verdict: optional(row, 5, word_of)?,
        started: parsed(row, 6)?,
        finished: optional(row, 7, read)?,
        runs: Vec::new(),
    })
}

fn runs(db: &Connection, delivery: &str) -> Result<Vec<PastRun>, Failure> {
    let mut statement = db.prepare_cached(RUNS)?;
    let mut rows = statement.query([delivery])?;
    let mut runs = Vec::new();
    while let Some(row) = rows.next()? {
        runs.push(PastRun {
            path: row.get(0)?,
            document: usize::try_from(row.get::<_, i64>(1)?).unwrap_or_default(),
            name: row.get(2)?,
            state: word(row, 3)?,
            started: optional(row, 4, read)?,
            completed: optional(row, 5, read)?,
        });
    }
    Ok(runs)
}

fn odd(what: &str, text: &str) -> Failure {
    Failure::Damaged(format!("{text:?} is no {what}"))
}

fn read<T: FromStr>(text: &str) -> Result<T, Failure> {
    text.parse().map_err(|_| odd("value of its column", text))
}

fn word_of<T: ClosedList>(text: &str) -> Result<T, Failure> {
    T::from_word(text).ok_or_else(|| odd("word of its list", text))
}

fn parsed<T: FromStr>(row: &Row<'_>, column: usize) -> Result<T, Failure> {
    read(&row.get::<_, String>(column)?)
}

fn word<T: ClosedList>(row: &Row<'_>, column: usize) -> Result<T, Failure> {
    word_of(&row.get::<_, String>(column)?)
}

fn optional<T>(
    row: &Row<'_>,
    column: usize,
    read: impl Fn(&str) -> Result<T, Failure>,
) -> Result<Option<T>, Failure> {
    row.get::<_, Option<String>>(column)?.map(|text| read(&text)).transpose()
}

#[cfg(test)]
mod tests {
    use sentry_core::testing::sample;

    use super::*;
    use crate::sqlite::schema;

    #[test]
    fn the_past_is_found_in_the_order_of_an_index() {
        let mut db = Connection::open_in_memory().unwrap();
        schema::migrate(&mut db).unwrap();
        let subject = Some(sample::subject("main"));
        let before = Some(sample::id(3));
        for (query, index) in [
            (
                PastQuery { before: before.clone(), ..PastQuery::default() },
                "_of_watch (watch=? AND id<?)",
            ),
            (
                PastQuery { subject, before, ..PastQuery::default() },
                "_of_subject (watch=? AND subject=? AND id<?)",
            ),
        ] {
            let (sql, values) = select(&sample::watch("app"), &query);
            let mut explain = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let plan = explain.query_map(params_from_iter(values), |row| row.get("detail"));
            let plan = plan.unwrap().collect::<Result<Vec<String>, _>>().unwrap().join("; ");
            assert!(plan.contains(index) && !plan.contains("TEMP"), "{plan}");
        }
    }
}
