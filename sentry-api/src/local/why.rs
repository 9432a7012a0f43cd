//! `why`: for any commit of A one reason of the closed list, its time, and the next step.

use sentry_core::clock::Timestamp;
use sentry_core::cursor::Cursors;
use sentry_core::delivery::{Delivery, HeadRecord, Reason};
use sentry_core::names::WatchName;
use sentry_core::repo::CommitSha;
use sentry_core::revision::Revision;
use sentry_core::store::{
    DeliveryQuery, Outage, Overview, OverviewQuery, SubjectFilter, SubjectView, Suspension,
    WatchView,
};
use sentry_core::subject::Subject;

use super::{Local, in_force, pick};
use crate::VERSION;
use crate::error::{ApiError, ErrorKind};
use crate::shape::{RunTotals, Why, WhyAnswer};

pub(super) async fn why(
    local: &Local,
    commit: &str,
    only: Option<&WatchName>,
) -> Result<Why, ApiError> {
    let prefix = commit_prefix(commit)?;
    let known = Known::ask(local, &prefix, only).await?;
    let names = known.watches(local, only).await?;
    let answers = known.answers(&prefix, &names)?;
    Ok(Why { version: VERSION, commit: prefix, answers })
}

/// Seven digits or more: fewer mean too many commits.
fn commit_prefix(text: &str) -> Result<String, ApiError> {
    let hex = text.bytes().all(|b| b.is_ascii_hexdigit());
    if !hex || !(7..=64).contains(&text.len()) {
        return Err(ApiError::bad_request(format!(
            "{text:?} is not a commit: expected a full id or its first 7 or more digits"
        )));
    }
    Ok(text.to_ascii_lowercase())
}

/// All that an answer is made of.
pub(super) struct Known {
    records: Vec<HeadRecord>,
    /// The deliveries of the records.
    deliveries: Vec<Delivery>,
    /// The watches, and the subjects of the records or with the commit as their head.
    pub(super) overview: Overview,
    pub(super) now: Timestamp,
}

impl Known {
    async fn ask(local: &Local, prefix: &str, only: Option<&WatchName>) -> Result<Self, ApiError> {
        let archive = local.store.archive.as_ref();
        let mut records = archive.heads(prefix).await?;
        records.retain(|record| only.is_none_or(|only| record.watch == *only));
        let subjects = SubjectFilter::HeadStarts(prefix.to_owned());
        let query = OverviewQuery { watch: only.cloned(), subjects, ..OverviewQuery::default() };
        let mut overview = archive.overview(&query).await?;
        let mut deliveries = Vec::new();
        for record in &records {
            let Revision { subject, .. } = &record.revision;
            if subject_of(&overview, &record.watch, subject).is_none() {
                let query = OverviewQuery::subject(&record.watch, subject);
                overview.subjects.extend(archive.overview(&query).await?.subjects);
            }
            let Some(id) = &record.delivery else { continue };
            let query = DeliveryQuery {
                id_prefix: Some(id.to_string()),
                limit: Some(1),
                ..DeliveryQuery::default()
            };
            deliveries.extend(archive.deliveries(&query).await?);
        }
        Ok(Self { records, deliveries, overview, now: local.clock.now() })
    }

    async fn watches(
        &self,
        local: &Local,
        only: Option<&WatchName>,
    ) -> Result<Vec<WatchName>, ApiError> {
        let mut names = pick::names(local, &self.overview);
        for name in self.records.iter().map(|r| &r.watch) {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        pick::only(local, names, only).await
    }

    /// What is recorded, newest first, one answer per watch and branch; where nothing is, why that may be.
    fn answers(&self, prefix: &str, names: &[WatchName]) -> Result<Vec<WhyAnswer>, ApiError> {
        let mut newest: Vec<&HeadRecord> = Vec::new();
        for record in self.records.iter().filter(|r| names.contains(&r.watch)) {
            let same = |n: &&HeadRecord| {
                n.watch == record.watch && n.revision.subject == record.revision.subject
            };
            if let Some(other) = newest.iter().find(|n| n.revision.sha != record.revision.sha) {
                return Err(ambiguous(prefix, [&other.revision.sha, &record.revision.sha]));
            }
            if !newest.iter().any(same) {
                newest.push(record);
            }
        }
        if newest.is_empty() {
            return Ok(names.iter().map(|name| self.unrecorded(prefix, name)).collect());
        }
        Ok(newest.into_iter().map(|record| self.recorded(record)).collect())
    }

    pub(super) fn delivery(&self, record: &HeadRecord) -> Option<&Delivery> {
        self.deliveries.iter().find(|d| record.delivery.as_ref() == Some(&d.id))
    }

    fn suspension(&self, watch: &WatchName) -> Option<&Suspension> {
        let suspension = self.watch(watch)?.suspension.as_ref();
        suspension.filter(|suspension| in_force(suspension, self.now))
    }

    fn watch(&self, watch: &WatchName) -> Option<&WatchView> {
        self.overview.watches.iter().find(|view| view.watch == *watch)
    }

    /// Why a watch's forge does not answer, if so.
    pub(super) fn outage(&self, watch: &WatchName) -> Option<&Outage> {
        self.watch(watch)?.state.as_ref()?.unreachable.as_ref()
    }

    pub(super) fn subject(&self, record: &HeadRecord) -> Option<&SubjectView> {
        subject_of(&self.overview, &record.watch, &record.revision.subject)
    }

    fn recorded(&self, record: &HeadRecord) -> WhyAnswer {
        let open = self.subject(record).map(|subject| subject.open.as_slice()).unwrap_or_default();
        let open = open.iter().find(|delivery| delivery.revision == record.revision);
        let suspended = self.suspension(&record.watch).is_some();
        let cursors = self.subject(record).map(|subject| &subject.cursors);
        let is_held = cursors
            .is_some_and(|c| c.waits_for_approval() && c.observed.sha == record.revision.sha);
        // What a person did since is newer than the record.
        let reason = match &record.reason {
            Reason::Waiting | Reason::Suspended if is_held && open.is_none() => {
                Reason::WaitsForApproval
            }
            Reason::Waiting if suspended && open.is_none() => Reason::Suspended,
            Reason::Suspended if !suspended => Reason::Waiting,
            other => other.clone(),
        };
        let delivery = self.delivery(record).filter(|d| !d.asked.dry_run);
        let branch = record.revision.subject.text();
        let by_hand = format!(
            "sentry trigger {} --branch {branch} --revision {}",
            record.watch, record.revision.sha
        );
        let (superseded_by, since) = arguments(&reason);
        WhyAnswer {
            watch: record.watch.to_string(),
            superseded_by,
            since,
            branch: Some(branch.into_owned()),
            subject: Some((&record.revision.subject).into()),
            sha: Some(record.revision.sha.to_string()),
            at: Some(record.at),
            delivery: record.delivery.as_ref().map(ToString::to_string),
            detail: record.detail.clone().or_else(|| open.and_then(|d| d.error.clone())),
            runs: delivery.map(|d| d.run_totals().into()).filter(|runs: &RunTotals| runs.total > 0),
            verdict: delivery.and_then(|d| d.verdict).map(Into::into),
            notes: match reason {
                Reason::NoRunMatched | Reason::RunsLeftOut => {
                    delivery.map(|d| d.notes.clone()).unwrap_or_default()
                }
                _ => Vec::new(),
            },
            next_step: self.next_step(record, &reason, open, &by_hand),
            reason: reason.kind().into(),
        }
    }

    /// The answer where no decision about the commit is kept.
    fn unrecorded(&self, prefix: &str, watch: &WatchName) -> WhyAnswer {
        let outage = self.outage(watch);
        let mine = |cursors: &&Cursors| cursors.watch == *watch;
        let mut heads = self.overview.subjects.iter().map(|subject| &subject.cursors).filter(mine);
        let head = heads.find(|cursors| cursors.observed.sha.as_str().starts_with(prefix));
        let suspended = self.suspension(watch);
        let (reason, detail) = match (head, suspended, outage) {
            (Some(_), Some(s), _) => (Reason::Suspended, s.reason.clone()),
            (Some(_), None, _) => (Reason::Waiting, None),
            (None, _, Some(o)) => {
                (Reason::ForgeUnreachable { since: o.since }, Some(o.error.clone()))
            }
            (None, _, None) => {
                let polled = self.watch(watch).is_some_and(|view| view.state.is_some());
                (Reason::NotSeen, Some(not_seen_detail(polled)))
            }
        };
        let next_step = match &reason {
            Reason::Suspended => format!("`sentry resume {watch}`"),
            Reason::Waiting => self.waiting_for(None),
            _ => self.no_record_step(watch),
        };
        let (superseded_by, since) = arguments(&reason);
        WhyAnswer {
            watch: watch.to_string(),
            superseded_by,
            since,
            branch: head.map(|b| b.subject.to_string()),
            subject: head.map(|b| (&b.subject).into()),
            sha: head.map(|b| b.observed.sha.to_string()),
            at: head.map(|b| b.observed.at),
            delivery: None,
            runs: None,
            verdict: None,
            notes: Vec::new(),
            reason: reason.kind().into(),
            detail,
            next_step,
        }
    }
}

fn subject_of<'o>(
    overview: &'o Overview,
    watch: &WatchName,
    subject: &Subject,
) -> Option<&'o SubjectView> {
    let is = |view: &&SubjectView| view.cursors.watch == *watch && view.cursors.subject == *subject;
    overview.subjects.iter().find(is)
}

/// What a reason is said with: the newer head, and since when.
fn arguments(reason: &Reason) -> (Option<String>, Option<Timestamp>) {
    match reason {
        Reason::SupersededBy(sha) => (Some(sha.to_string()), None),
        Reason::ForgeUnreachable { since } => (None, Some(*since)),
        _ => (None, None),
    }
}

fn not_seen_detail(polled: bool) -> String {
    if polled {
        "no poll saw it as the head of a watched branch: it was pushed together with a later \
         commit, to another branch, or not yet"
            .to_owned()
    } else {
        "no agent has polled this watch's branches yet".to_owned()
    }
}

fn ambiguous(prefix: &str, shas: [&CommitSha; 2]) -> ApiError {
    let text = format!("more than one commit starts with {prefix}: {} and {}", shas[0], shas[1]);
    ApiError::new(ErrorKind::Ambiguous, text).with_hint("use a longer prefix")
}

#[cfg(test)]
mod tests {
    use sentry_core::cursor::Mark;
    use sentry_core::store::WatchState;
    use sentry_core::testing::sample;

    use super::*;
    use crate::words::{ReasonKind, Word};

    const SHA: &str = "1a2b3c4d5e6f1a2b3c4d5e6f1a2b3c4d5e6f1a2b";

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    fn watch() -> WatchName {
        "qa".parse().unwrap()
    }

    fn record(reason: Reason) -> HeadRecord {
        HeadRecord {
            watch: watch(),
            revision: sample::at("main", SHA),
            reason,
            at: at(0),
            delivery: None,
            detail: None,
        }
    }

    fn known(records: Vec<HeadRecord>) -> Known {
        let (deliveries, overview) = (Vec::new(), Overview::default());
        Known { records, deliveries, overview, now: at(60) }
    }

    fn kept() -> WatchView {
        WatchView {
            watch: watch(),
            state: None,
            suspension: None,
            reporting: None,
            triggers: 0,
            last_success: None,
            recent: Vec::new(),
        }
    }

    fn answer(known: &Known) -> WhyAnswer {
        known.answers(&SHA[..7], &[watch()]).unwrap().remove(0)
    }

    fn reason(known: &Known) -> Word<ReasonKind> {
        answer(known).reason
    }

    fn suspended(until: Option<Timestamp>) -> WatchView {
        let suspension = Suspension { watch: watch(), reason: None, since: at(1), until, by: None };
        WatchView { suspension: Some(suspension), ..kept() }
    }

    #[test]
    fn a_record_is_the_answer_and_names_the_next_step() {
        let known = known(vec![record(Reason::Baseline)]);
        let answer = known.answers(SHA, &[watch()]).unwrap().remove(0);
        assert_eq!(answer.reason, ReasonKind::Baseline);
        assert!(answer.next_step.contains(&format!("--branch main --revision {SHA}")));
    }

    #[test]
    fn a_suspension_after_the_record_is_what_a_waiting_commit_waits_for() {
        let mut known = known(vec![record(Reason::Waiting)]);
        known.overview.watches = vec![suspended(None)];
        assert_eq!(reason(&known), ReasonKind::Suspended);
        known.overview.watches = vec![suspended(Some(at(30)))];
        assert_eq!(reason(&known), ReasonKind::Waiting);
    }

    #[test]
    fn an_unknown_commit_is_not_seen_or_the_forge_was_unreachable_since() {
        let mut known = known(Vec::new());
        assert_eq!(reason(&known), ReasonKind::NotSeen);
        let state = WatchState {
            watch: watch(),
            repo: "https://github.com/a/b".parse().unwrap(),
            patterns: vec!["main".into()],
            unreachable: Some(Outage { since: at(5), error: "no answer".into(), next: None }),
            pulls: None,
        };
        known.overview.watches = vec![WatchView { state: Some(state), ..kept() }];
        assert_eq!(answer(&known).since, Some(at(5)));
        let text = format!("forge unreachable since {}", at(5));
        assert_eq!(answer(&known).reason_text(), text);
    }

    #[test]
    fn a_head_that_was_seen_but_not_decided_yet_is_waiting() {
        let mut known = known(Vec::new());
        let head = Mark { sha: SHA.parse().unwrap(), at: at(3) };
        let cursors = Cursors::first_seen(watch(), sample::subject("main"), head);
        let (newest, delivered) = (None, None);
        known.overview.subjects = vec![SubjectView { cursors, open: vec![], newest, delivered }];
        assert_eq!(reason(&known), ReasonKind::Waiting);
        known.overview.watches = vec![suspended(None)];
        assert_eq!(reason(&known), ReasonKind::Suspended);
    }

    #[test]
    fn a_prefix_of_two_commits_is_refused_with_both() {
        let mut other = record(Reason::Delivered);
        let sha = format!("{}{}", &SHA[..7], "0".repeat(33));
        other.revision.sha = sha.parse().unwrap();
        let known = known(vec![record(Reason::Baseline), other]);
        let failure = known.answers(&SHA[..7], &[watch()]).unwrap_err();
        assert!(failure.to_string().contains(SHA) && failure.to_string().contains(&sha));
    }

    #[test]
    fn only_hex_of_seven_digits_or_more_is_a_commit() {
        assert_eq!(commit_prefix("ABCDEF0").unwrap(), "abcdef0");
        for bad in ["", "abcdef", "main", "../../x", "abcdefg1", &"a".repeat(65)] {
            assert!(commit_prefix(bad).is_err(), "{bad}");
        }
    }
}
