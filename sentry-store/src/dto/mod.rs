//! The records as versioned JSON, apart from the engine's own types: those may change, what lies on disks may not.
//!
//! A change that an older Sentry can't read right raises [`VERSION`]; a text of a newer version is refused. A field
//! that is added without raising it must be optional.

mod older;
mod records;
mod values;

pub(crate) use records::brief::brief;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The version that [`Record::encode`] writes.
pub const VERSION: u32 = 4;

/// Why a record can't be written, or a text can't be read. Never retried.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DtoError {
    /// The text was written by a newer Sentry.
    #[error("written in version {0} of the record format, this Sentry reads up to {VERSION}")]
    Newer(u32),
    /// The text is not what any version writes.
    #[error("not a record in version {VERSION} of the record format")]
    Unreadable(#[source] serde_json::Error),
}

/// A record that is kept as JSON.
pub trait Record: Sized {
    /// The JSON of version [`VERSION`], as one line.
    ///
    /// # Errors
    /// [`DtoError::Unreadable`] if it can't be written as JSON: of no record of this crate.
    fn encode(&self) -> Result<String, DtoError>;

    /// Reads a text of the given version; a version below [`VERSION`] is brought forward.
    ///
    /// # Errors
    /// [`DtoError::Newer`], or [`DtoError::Unreadable`].
    fn decode(version: u32, json: &str) -> Result<Self, DtoError>;
}

/// The stored form of a `T`.
trait Mirror<T>: Sized {
    fn of(value: T) -> Self;
    fn back(self) -> T;
}

fn encode<T: Clone, M: Mirror<T> + Serialize>(record: &T) -> Result<String, DtoError> {
    serde_json::to_string(&M::of(record.clone())).map_err(DtoError::Unreadable)
}

fn decode<T, M: Mirror<T> + DeserializeOwned>(version: u32, json: &str) -> Result<T, DtoError> {
    decode_after::<T, M>(version, json, |_| ())
}

/// As [`decode`]; of a version before subjects the text is brought forward by `older` as well.
fn decode_after<T, M: Mirror<T> + DeserializeOwned>(
    version: u32,
    json: &str,
    older: impl FnOnce(&mut Value),
) -> Result<T, DtoError> {
    let read = match version {
        ..4 => serde_json::from_str::<Value>(json).and_then(|mut value| {
            older::of_subjects(&mut value);
            older(&mut value);
            serde_json::from_value::<M>(value)
        }),
        VERSION => serde_json::from_str::<M>(json),
        _ => return Err(DtoError::Newer(version)),
    };
    read.map(M::back).map_err(DtoError::Unreadable)
}

#[cfg(test)]
mod tests {
    use sentry_core::cursor::{Cursors, Passed};
    use sentry_core::delivery::{Asked, Delivery, Reason, RunRecord, Trigger};
    use sentry_core::testing::sample;

    use super::*;

    /// A record as version 3 wrote it.
    fn of_version_3(record: &impl Record) -> Value {
        let mut value = serde_json::from_str(&record.encode().unwrap()).unwrap();
        name_branches(&mut value);
        if let Some(event) = value.as_object_mut().unwrap().remove("event") {
            let run = value.as_object_mut().unwrap().remove("only");
            value["selection"] = serde_json::json!({"event": event, "run": run});
        }
        value
    }

    fn name_branches(value: &mut Value) {
        let branch = |subject: &Value| subject.as_str().unwrap()["refs/heads/".len()..].into();
        match value {
            Value::Object(fields) => {
                fields.values_mut().for_each(name_branches);
                if let Some(subject) = fields.remove("subject") {
                    fields.insert("branch".to_owned(), branch(&subject));
                }
                if let Some(Value::Array(subjects)) = fields.remove("subjects") {
                    let branches = subjects.iter().map(branch).collect();
                    fields.insert("branches".to_owned(), Value::Array(branches));
                }
                if fields.contains_key("digest") {
                    let begun = fields.remove("manifests").unwrap();
                    fields.insert("manifests".to_owned(), begun["sha"].clone());
                    fields.insert("manifests_branch".to_owned(), begun["branch"].clone());
                }
            }
            Value::Array(items) => items.iter_mut().for_each(name_branches),
            _ => {}
        }
    }

    #[test]
    fn what_was_written_of_branches_is_read_of_subjects() {
        fn same<R: Record + PartialEq + std::fmt::Debug>(record: &R) {
            let old = of_version_3(record);
            assert!(!old.to_string().contains("refs/heads/"), "{old}");
            assert_eq!(R::decode(3, &old.to_string()).unwrap(), *record);
        }
        same(&sample::cursors(1));
        same(&sample::watch_state(1));
        same(&sample::delivery(1));
        same(&Delivery {
            asked: Asked { event: sample::subject("main").event(), only: None, ..sample::asked(2) },
            ..sample::delivery(2)
        });
        same(&sample::trigger(1));
        same(&sample::head(1));
        same(&sample::report(1));
        same(&sample::outgoing("chat", 1));
        same(&sample::trouble(1));
        same(&sample::inventory("ci", 1));
    }

    #[test]
    fn a_newer_version_is_refused_and_says_so() {
        let json = sample::cursors(1).encode().unwrap();
        let refused = Cursors::decode(VERSION + 1, &json).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "written in version 5 of the record format, this Sentry reads up to 4"
        );
    }

    #[test]
    fn a_text_of_version_1_reads_as_it_was_written() {
        let json = r#"{"id":"01kjeg1d7k0000000000000001","key":"k","watch":"app",
            "kind":{"rerun":{"delivery":"01kjeg1d7k0000000000000002","failed_only":true}},
            "cause":"manual","at":"2026-09-21T14:13:21.000000000Z","state":{"rejected":"no such"}}"#;
        let trigger = Trigger::decode(1, json).unwrap();
        let compact: Value = serde_json::from_str(json).unwrap();
        let mut now: Value = serde_json::from_str(&trigger.encode().unwrap()).unwrap();
        assert_eq!(now.as_object_mut().unwrap().remove("by"), Some(Value::Null), "nobody knew");
        assert_eq!(now, compact);
    }

    #[test]
    fn a_delivery_of_version_1_has_no_runs_and_selects_what_a_push_does() {
        let mut old = of_version_3(&sample::delivery(1));
        let fields = old.as_object_mut().unwrap();
        for new in ["selection", "manifests", "runs", "following_since", "verdict", "passed"] {
            assert!(fields.remove(new).is_some(), "{new}");
        }
        let read = Delivery::decode(1, &old.to_string()).unwrap();
        assert_eq!((read.runs.len(), read.verdict, read.asked.event.as_str()), (0, None, "push"));
        assert_eq!(read.id, sample::delivery(1).id);
    }

    #[test]
    fn a_delivery_that_was_written_before_cut_off_attempts_were_counted_has_none() {
        let mut old = of_version_3(&sample::delivery(1));
        assert_eq!(old.as_object_mut().unwrap().remove("cut_off"), Some(1.into()));
        assert_eq!(Delivery::decode(3, &old.to_string()).unwrap().attempts.cut_off, 0);
    }

    #[test]
    fn a_delivery_that_was_written_before_commits_were_noted_names_nobody_and_repeats_nothing() {
        let mut old: Value = serde_json::from_str(&sample::delivery(1).encode().unwrap()).unwrap();
        for new in ["commit", "by", "repeats"] {
            assert!(old.as_object_mut().unwrap().remove(new).is_some(), "{new}");
        }
        let read = Delivery::decode(VERSION, &old.to_string()).unwrap();
        let asked = Asked { by: None, repeats: None, ..sample::asked(1) };
        assert_eq!(read, Delivery { commit: None, asked, ..sample::delivery(1) });
    }

    #[test]
    fn a_run_that_was_written_before_its_tasks_were_kept_has_none() {
        let run = sample::delivery(1).runs.remove(0);
        let mut old: Value = serde_json::from_str(&run.encode().unwrap()).unwrap();
        for new in ["tasks", "started", "failure"] {
            assert!(old.as_object_mut().unwrap().remove(new).is_some(), "{new}");
        }
        let without = RunRecord { tasks: Vec::new(), started: None, failure: None, ..run };
        assert_eq!(RunRecord::decode(VERSION, &old.to_string()).unwrap(), without);
    }

    #[test]
    fn a_head_that_was_parked_before_there_were_looks_waits_for_a_change_or_a_person() {
        let mut old = of_version_3(&sample::cursors(1));
        for new in ["again", "regardless_of_b"] {
            assert!(old["parked"].as_object_mut().unwrap().remove(new).is_some(), "{new}");
        }
        let parked = Cursors::decode(2, &old.to_string()).unwrap().parked.unwrap();
        assert_eq!((parked.again, parked.regardless_of_b), (None, false));
    }

    #[test]
    fn what_started_no_run_is_told_from_what_succeeded_in_a_delivery_of_version_2() {
        use sentry_core::delivery::{DeliveryState, Reason};
        use sentry_core::plan::{Action, ObjectOutcome};

        let succeeded = Delivery {
            state: DeliveryState::Succeeded,
            asked: Asked { dry_run: false, ..sample::asked(1) },
            passed: None,
            verdict: None,
            runs: Vec::new(),
            objects: Vec::new(),
            ..sample::delivery(1)
        };
        let passed = Delivery { passed: Some(Reason::SkippedByMarker), ..succeeded.clone() };
        let applied = ObjectOutcome { run: false, ..sample::outcome(Action::Created) };
        let applied = Delivery { objects: vec![applied], ..succeeded.clone() };
        let ran = Delivery { objects: vec![sample::outcome(Action::Created)], ..succeeded.clone() };
        let shown = Delivery { asked: sample::asked(1), ..succeeded };
        let read = |delivery: &Delivery| {
            let read = Delivery::decode(2, &of_version_3(delivery).to_string()).unwrap();
            (read.state, read.passed)
        };
        let nothing = |cause| (DeliveryState::NothingRan, Some(cause));
        assert_eq!(read(&passed), nothing(Reason::SkippedByMarker));
        assert_eq!(read(&applied), nothing(Reason::OnlyObjects));
        assert_eq!(read(&ran), (DeliveryState::Succeeded, None));
        assert_eq!(read(&shown), (DeliveryState::Succeeded, None));
    }

    #[test]
    fn a_delivery_of_version_2_has_the_commit_of_b_that_it_was_begun_with() {
        let mut old = of_version_3(&sample::delivery(1));
        old.as_object_mut().unwrap().remove("manifests").unwrap();
        let read = Delivery::decode(2, &old.to_string()).unwrap();
        assert_eq!(read, sample::delivery(1));
    }

    #[test]
    fn a_report_of_version_2_speaks_for_its_own_branch() {
        use sentry_core::store::Report;

        let mut old = of_version_3(&sample::report(1));
        old["status"].as_object_mut().unwrap().remove("branches").unwrap();
        let read = Report::decode(2, &old.to_string()).unwrap();
        assert_eq!(read.status.subjects, [sample::subject("main")]);
    }

    #[test]
    fn an_item_that_was_kept_before_its_limit_was_is_not_forgotten_for_its_age() {
        use sentry_core::store::InventoryItem;

        let mut old = of_version_3(&sample::inventory("ci", 1));
        assert_eq!(old.as_object_mut().unwrap().remove("limited"), Some(true.into()));
        assert!(InventoryItem::decode(3, &old.to_string()).unwrap().limited);
    }

    #[test]
    fn a_branch_without_a_baseline_field_has_the_one_it_let_pass() {
        let baseline = Passed { mark: sample::mark(1), reason: Reason::Baseline };
        for (passed, want) in [
            (Some(baseline.clone()), Some(baseline.mark.sha)),
            (sample::cursors(1).passed, None),
            (None, None),
        ] {
            let state = Cursors { passed, baseline: None, ..sample::cursors(1) };
            let mut old = of_version_3(&state);
            assert!(old.as_object_mut().unwrap().remove("baseline").is_some());
            assert_eq!(Cursors::decode(2, &old.to_string()).unwrap().baseline, want);
        }
    }

    #[test]
    fn every_invalid_name_or_word_is_unreadable() {
        let json = sample::delivery(1).encode().unwrap();
        assert_eq!(Delivery::decode(VERSION, &json).unwrap(), sample::delivery(1));
        for (good, bad) in [
            ("\"app\"", "\"-rf\""),
            ("\"superseded\"", "\"finished\""),
            ("\"refs/heads/main\"", "\"refs/heads/a..b\""),
            ("0a1b2c3d", "xyz"),
            ("2026-", "tomorrow-"),
            ("\"failures\":2", "\"failures\":-2"),
        ] {
            assert!(json.contains(good), "{good}");
            let spoilt = json.replace(good, bad);
            assert!(
                matches!(Delivery::decode(VERSION, &spoilt), Err(DtoError::Unreadable(_))),
                "{bad}"
            );
        }
    }
}
