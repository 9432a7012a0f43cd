//! The writes of a commit as the JSON that the database's function takes: one object each.

use std::collections::BTreeSet;

use sentry_core::delivery::{Delivery, RunTotals};
use sentry_core::store::{AUDIT, Write};
use serde::Serialize;

use super::failure::Failure;
use crate::dto::{DtoError, Record, VERSION};

/// One commit.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Writes {
    /// The watches that it names.
    pub(super) watches: Vec<String>,
    /// The writes, as an array.
    pub(super) json: String,
}

impl Writes {
    pub(super) fn of(writes: &[Write]) -> Result<Self, Failure> {
        let watches: BTreeSet<String> =
            writes.iter().filter_map(Write::watch).map(ToString::to_string).collect();
        let writes: Vec<String> = writes.iter().map(object).collect::<Result<_, _>>()?;
        let json = without_nul(format!("[{}]", writes.join(",")));
        Ok(Self { watches: watches.into_iter().collect(), json })
    }
}

/// A record as JSON that the database can keep.
pub(super) fn record(record: &impl Record) -> Result<String, Failure> {
    Ok(without_nul(record.encode()?))
}

fn object(write: &Write) -> Result<String, Failure> {
    match write {
        Write::Cursors(cursors) => {
            let subject = cursors.subject.text();
            let names = [cursors.watch.as_str(), &subject];
            put("cursors", cursors, &[("searched", json(&searched(names))?)])
        }
        Write::ForgetCursors(watch, subject) => {
            forget("cursors", &[("watch", watch.as_str()), ("subject", &subject.reference())])
        }
        Write::Watch(state) => put("watches", state, &[]),
        Write::Validator(key, Some(validator)) => {
            let fields = [("key", json(key)?), ("validator", json(&validator.0)?)];
            Ok(named("validators", &fields))
        }
        Write::Validator(key, None) => forget("validators", &[("key", key)]),
        Write::Delivery(delivery) => put_delivery(delivery),
        Write::Trigger(trigger) => put("triggers", trigger, &[]),
        Write::Head(head) => put("heads", head, &[]),
        Write::Report(report) => put("reports", report, &[]),
        Write::Notice(outgoing) => put("outbox", outgoing.as_ref(), &[]),
        Write::ForgetNotice { receiver, id } => {
            forget("outbox", &[("receiver", receiver), ("id", id.as_str())])
        }
        Write::Trouble(trouble) => put("troubles", trouble, &[]),
        Write::ForgetTrouble(watch, subject) => {
            forget("troubles", &[("watch", watch.as_str()), ("subject", &subject.reference())])
        }
        Write::Inventory(item) => put("inventory", item, &[("identity", json(&item.identity())?)]),
        Write::ForgetInventory(item) => {
            forget("inventory", &[("watch", item.watch.as_str()), ("identity", &item.identity())])
        }
        Write::Agent(agent) => put("agent", agent, &[]),
        Write::Prune { before, keep } => {
            // Acts of no time at all are older than the oldest.
            let acts = before.checked_sub(AUDIT).map(|year| format!("{year:.9}"));
            let acts = json(&acts.unwrap_or_default())?;
            let before = json(&format!("{before:.9}"))?;
            let keep = i64::try_from(*keep).unwrap_or(i64::MAX).to_string();
            Ok(named("prune", &[("before", before), ("acts_before", acts), ("keep", keep)]))
        }
    }
}

/// A delivery's row, and those of its parts.
fn put_delivery(delivery: &Delivery) -> Result<String, Failure> {
    let RunTotals { total, running, succeeded, failed, cancelled, queued } = delivery.run_totals();
    let totals = json(&[total, running, succeeded, failed, cancelled, queued])?;
    let note = delivery.commit.as_ref();
    let note = note.map_or(["", ""], |note| [note.title.as_str(), note.author.as_str()]);
    let subject = delivery.revision.subject.text();
    let names = [delivery.watch.as_str(), &subject];
    let searched = json(&searched(names.into_iter().chain(note)))?;
    let parts = [
        ("objects", array(&delivery.objects)?),
        ("runs", array(&delivery.runs)?),
        ("steps", array(&delivery.steps)?),
    ];
    let fields = [("totals", totals), ("searched", searched), ("parts", fields(&parts))];
    let (objects, runs, steps) = (Vec::new(), Vec::new(), Vec::new());
    put("deliveries", &Delivery { objects, runs, steps, ..delivery.clone() }, &fields)
}

/// What something is found by, in small letters.
fn searched<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(str::to_lowercase).collect::<Vec<_>>().join("\n")
}

fn put(table: &str, record: &impl Record, more: &[(&str, String)]) -> Result<String, Failure> {
    let own = [("version", VERSION.to_string()), ("record", record.encode()?)];
    Ok(named(table, &[&own[..], more].concat()))
}

fn forget(table: &str, key: &[(&str, &str)]) -> Result<String, Failure> {
    let fields: Vec<_> =
        key.iter().map(|(name, text)| Ok((*name, json(text)?))).collect::<Result<_, Failure>>()?;
    Ok(named(&format!("forget_{table}"), &fields))
}

fn named(to: &str, more: &[(&str, String)]) -> String {
    let own = [("to", format!("\"{to}\""))];
    fields(&[&own[..], more].concat())
}

/// An object of fields whose values are JSON.
fn fields(fields: &[(&str, String)]) -> String {
    let fields: Vec<String> =
        fields.iter().map(|(name, json)| format!("\"{name}\":{json}")).collect();
    format!("{{{}}}", fields.join(","))
}

fn array(records: &[impl Record]) -> Result<String, Failure> {
    let records: Vec<String> = records.iter().map(Record::encode).collect::<Result<_, _>>()?;
    Ok(format!("[{}]", records.join(",")))
}

fn json(value: &(impl Serialize + ?Sized)) -> Result<String, Failure> {
    serde_json::to_string(value).map_err(|error| DtoError::Unreadable(error).into())
}

/// The database keeps no NUL in a text (<https://www.postgresql.org/docs/current/datatype-json.html>): where one is, something
/// that can't be read stands for it.
pub(crate) fn without_nul(json: String) -> String {
    const NUL: &str = "\\u0000";
    if !json.contains(NUL) {
        return json;
    }
    let mut kept = String::with_capacity(json.len());
    let mut rest = json.as_str();
    while let Some(at) = rest.find('\\') {
        kept.push_str(&rest[..at]);
        rest = &rest[at..];
        // What follows a backslash belongs to it: a second one, or what stands for a character.
        let length = if rest.starts_with(NUL) { NUL.len() } else { 2.min(rest.len()) };
        kept.push_str(if length == NUL.len() { "\\ufffd" } else { &rest[..length] });
        rest = &rest[length..];
    }
    kept.push_str(rest);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nul_is_replaced_and_what_only_looks_like_one_is_not() {
        for text in ["", "plain", "\0", "a\0b\0", "\\u0000", "\\\0", "\\\\u0000\0", "\"\u{1}\n\\"] {
            let kept: String =
                serde_json::from_str(&without_nul(serde_json::to_string(text).unwrap())).unwrap();
            assert_eq!(kept, text.replace('\0', "\u{fffd}"), "{text:?}");
        }
    }
}
