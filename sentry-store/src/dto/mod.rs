//! The records as versioned JSON, apart from the engine's own types: those may change, what lies on disks may not.
//!
//! A change that an older Sentry can't read right raises [`VERSION`]; a text of a newer version is refused. A field
//! that is added without raising it must be optional.

mod records;
mod values;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The version that [`Record::encode`] writes.
pub const VERSION: u32 = 3;

/// Why a record can't be written, or a text can't be read. Never retried.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DtoError {
    /// The record holds a value that version [`VERSION`] has no word for.
    #[error("version {VERSION} of the stored form has no word for {0}")]
    NoWord(String),
    /// The text was written by a newer Sentry.
    #[error("written in version {0} of the stored form, this Sentry reads up to {VERSION}")]
    Newer(u32),
    /// The text is not what any version writes.
    #[error("not a record in version {VERSION} of the stored form")]
    Unreadable(#[source] serde_json::Error),
}

/// A record that is kept as JSON.
pub trait Record: Sized {
    /// The JSON of version [`VERSION`], as one line.
    ///
    /// # Errors
    /// [`DtoError::NoWord`] if the record holds a value that is newer than this crate.
    fn encode(&self) -> Result<String, DtoError>;

    /// Reads a text of the given version; a version below [`VERSION`] is brought forward.
    ///
    /// # Errors
    /// [`DtoError::Newer`], or [`DtoError::Unreadable`].
    fn decode(version: u32, json: &str) -> Result<Self, DtoError>;
}

/// The stored form of a `T`.
trait Mirror<T>: Sized {
    fn of(value: T) -> Result<Self, DtoError>;
    fn back(self) -> T;
}

fn encode<T: Clone, M: Mirror<T> + Serialize>(record: &T) -> Result<String, DtoError> {
    let mirror = M::of(record.clone())?;
    serde_json::to_string(&mirror).map_err(DtoError::Unreadable)
}

fn decode<T, M: Mirror<T> + DeserializeOwned>(version: u32, json: &str) -> Result<T, DtoError> {
    if version > VERSION {
        return Err(DtoError::Newer(version));
    }
    serde_json::from_str::<M>(json).map(M::back).map_err(DtoError::Unreadable)
}

#[cfg(test)]
mod tests {
    use sentry_core::cursor::{BranchState, Passed};
    use sentry_core::delivery::{Delivery, Reason, Trigger};
    use sentry_core::testing::sample;

    use super::*;

    #[test]
    fn a_newer_version_is_refused_and_says_so() {
        let json = sample::branch_state(1).encode().unwrap();
        let refused = BranchState::decode(VERSION + 1, &json).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "written in version 4 of the stored form, this Sentry reads up to 3"
        );
    }

    #[test]
    fn a_text_of_version_1_reads_as_it_was_written() {
        let json = r#"{"id":"01kjeg1d7k0000000000000001","key":"k","watch":"app",
            "kind":{"rerun":{"delivery":"01kjeg1d7k0000000000000002","failed_only":true}},
            "cause":"manual","at":"2026-09-21T14:13:21.000000000Z","state":{"rejected":"no such"}}"#;
        let trigger = Trigger::decode(1, json).unwrap();
        let compact: String = json.split("\n            ").collect();
        assert_eq!(trigger.encode().unwrap(), compact);
    }

    #[test]
    fn a_delivery_of_version_1_has_no_runs_and_selects_what_a_push_does() {
        let json = sample::delivery(1).encode().unwrap();
        let mut old: serde_json::Value = serde_json::from_str(&json).unwrap();
        let fields = old.as_object_mut().unwrap();
        for new in ["selection", "manifests", "runs", "following_since", "verdict", "passed"] {
            assert!(fields.remove(new).is_some(), "{new}");
        }
        let read = Delivery::decode(1, &old.to_string()).unwrap();
        assert_eq!((read.runs.len(), read.verdict, read.selection.event()), (0, None, "push"));
        assert_eq!(read.id, sample::delivery(1).id);
    }

    #[test]
    fn a_delivery_that_was_written_before_cut_off_attempts_were_counted_has_none() {
        let json = sample::delivery(1).encode().unwrap();
        let mut old: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(old.as_object_mut().unwrap().remove("cut_off"), Some(1.into()));
        assert_eq!(Delivery::decode(3, &old.to_string()).unwrap().cut_off, 0);
    }

    #[test]
    fn a_head_that_was_parked_before_there_were_looks_waits_for_a_change_or_a_person() {
        let json = sample::branch_state(1).encode().unwrap();
        let mut old: serde_json::Value = serde_json::from_str(&json).unwrap();
        for new in ["again", "regardless_of_b"] {
            assert!(old["parked"].as_object_mut().unwrap().remove(new).is_some(), "{new}");
        }
        let parked = BranchState::decode(2, &old.to_string()).unwrap().parked.unwrap();
        assert_eq!((parked.again, parked.regardless_of_b), (None, false));
    }

    #[test]
    fn what_started_no_run_is_told_from_what_succeeded_in_a_delivery_of_version_2() {
        use sentry_core::delivery::{DeliveryState, Reason};
        use sentry_core::plan::{Action, ObjectOutcome};

        let succeeded = Delivery {
            state: DeliveryState::Succeeded,
            dry_run: false,
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
        let shown = Delivery { dry_run: true, ..succeeded };
        let read = |delivery: &Delivery| {
            let read = Delivery::decode(2, &delivery.encode().unwrap()).unwrap();
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
        let json = sample::delivery(1).encode().unwrap();
        let mut old: serde_json::Value = serde_json::from_str(&json).unwrap();
        old.as_object_mut().unwrap().remove("manifests").unwrap();
        let read = Delivery::decode(2, &old.to_string()).unwrap();
        assert_eq!(read, sample::delivery(1));
    }

    #[test]
    fn a_report_of_version_2_speaks_for_its_own_branch() {
        use sentry_core::store::Report;

        let json = sample::report(1).encode().unwrap();
        let mut old: serde_json::Value = serde_json::from_str(&json).unwrap();
        old["status"].as_object_mut().unwrap().remove("branches").unwrap();
        let read = Report::decode(2, &old.to_string()).unwrap();
        assert_eq!(read.status.branches, [sample::branch("main")]);
    }

    #[test]
    fn a_branch_without_a_baseline_field_has_the_one_it_let_pass() {
        let baseline = Passed { mark: sample::mark(1), reason: Reason::Baseline };
        for (passed, want) in [
            (Some(baseline.clone()), Some(baseline.mark.sha)),
            (sample::branch_state(1).passed, None),
            (None, None),
        ] {
            let state = BranchState { passed, baseline: None, ..sample::branch_state(1) };
            let mut old: serde_json::Value =
                serde_json::from_str(&state.encode().unwrap()).unwrap();
            assert!(old.as_object_mut().unwrap().remove("baseline").is_some());
            assert_eq!(BranchState::decode(2, &old.to_string()).unwrap().baseline, want);
        }
    }

    #[test]
    fn every_invalid_name_or_word_is_unreadable() {
        let json = sample::delivery(1).encode().unwrap();
        assert_eq!(Delivery::decode(1, &json).unwrap(), sample::delivery(1));
        for (good, bad) in [
            ("\"app\"", "\"-rf\""),
            ("\"superseded\"", "\"finished\""),
            ("\"main\"", "\"a..b\""),
            ("0a1b2c3d", "xyz"),
            ("2026-", "tomorrow-"),
            ("\"failures\":2", "\"failures\":-2"),
        ] {
            assert!(json.contains(good), "{good}");
            let spoilt = json.replace(good, bad);
            assert!(matches!(Delivery::decode(1, &spoilt), Err(DtoError::Unreadable(_))), "{bad}");
        }
    }
}
