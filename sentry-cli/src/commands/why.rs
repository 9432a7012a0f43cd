//! `sentry why COMMIT`: for any commit of A one reason of the closed list, its time, and the next step.

mod answer;
mod next;

use sentry_core::clock::Timestamp;
use sentry_core::delivery::{Delivery, HeadRecord, Reason};
use sentry_core::repo::CommitSha;
use sentry_core::store::{DeliveryQuery, Snapshot, StateStore, Suspension};
use sentry_core::watch::WatchName;

use self::answer::{Answer, show};
use super::Context;
use super::status::in_force;
use crate::args::WhyArgs;
use crate::exit::{Exit, Failure};
use crate::json;
use crate::runs::Totals;

pub(crate) async fn run(ctx: &Context, args: &WhyArgs) -> Result<Exit, Failure> {
    let prefix = commit_prefix(&args.commit)?;
    let known = match ctx.state_to_read()?.store {
        Some(store) => Known::ask(store.as_ref(), &prefix, ctx.now()).await?,
        None => Known::nothing(ctx.now()),
    };
    let names = known.watches(ctx.configured_watches(), args.watch.as_ref())?;
    let answers = known.answers(&prefix, &names)?;
    if args.output.is_json() {
        let answers = answers.iter().map(Answer::to_json).collect();
        ctx.ui.json(&json::Why { version: json::VERSION, commit: prefix, answers })?;
    } else {
        show(&ctx.ui, &prefix, &answers, known.now);
    }
    Ok(Exit::Done)
}

/// The answers for a commit as a person sees them.
pub(crate) async fn explain_commit(
    ctx: &Context,
    store: &dyn StateStore,
    sha: &CommitSha,
) -> Result<(), Failure> {
    let known = Known::ask(store, sha.as_str(), ctx.now()).await?;
    let names = known.watches(Vec::new(), None)?;
    show(&ctx.ui, sha.as_str(), &known.answers(sha.as_str(), &names)?, known.now);
    Ok(())
}

/// Seven digits or more: fewer mean too many commits.
fn commit_prefix(text: &str) -> Result<String, Failure> {
    let hex = text.bytes().all(|b| b.is_ascii_hexdigit());
    if !hex || !(7..=64).contains(&text.len()) {
        return Err(Failure::usage(format!(
            "{text:?} is no commit: expected its id, or the first 7 or more digits of it"
        )));
    }
    Ok(text.to_ascii_lowercase())
}

/// All that an answer is made of.
struct Known {
    records: Vec<HeadRecord>,
    /// The deliveries of the records.
    deliveries: Vec<Delivery>,
    snapshot: Snapshot,
    now: Timestamp,
}

impl Known {
    fn nothing(now: Timestamp) -> Self {
        let snapshot = Snapshot::default();
        Self { records: Vec::new(), deliveries: Vec::new(), snapshot, now }
    }

    async fn ask(store: &dyn StateStore, prefix: &str, now: Timestamp) -> Result<Self, Failure> {
        let records = store.heads(prefix).await?;
        let mut deliveries = Vec::new();
        for id in records.iter().filter_map(|r| r.delivery.as_ref()) {
            let query = DeliveryQuery {
                id_prefix: Some(id.to_string()),
                limit: Some(1),
                ..DeliveryQuery::default()
            };
            deliveries.extend(store.deliveries(&query).await?);
        }
        Ok(Self { records, deliveries, snapshot: store.snapshot().await?, now })
    }

    fn watches(
        &self,
        mut names: Vec<WatchName>,
        only: Option<&WatchName>,
    ) -> Result<Vec<WatchName>, Failure> {
        let kept = self.snapshot.watches.iter().map(|w| &w.watch);
        for name in kept.chain(self.records.iter().map(|r| &r.watch)) {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        match only {
            None => Ok(names),
            Some(wanted) if names.contains(wanted) => Ok(vec![wanted.clone()]),
            Some(wanted) => Err(super::unknown_watch(wanted, &names)),
        }
    }

    /// What is recorded, newest first, one answer per watch and branch; where nothing is, why that may be.
    fn answers(&self, prefix: &str, names: &[WatchName]) -> Result<Vec<Answer>, Failure> {
        let mut newest: Vec<&HeadRecord> = Vec::new();
        for record in self.records.iter().filter(|r| names.contains(&r.watch)) {
            let same = |n: &&HeadRecord| {
                n.watch == record.watch && n.revision.branch == record.revision.branch
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

    fn delivery(&self, record: &HeadRecord) -> Option<&Delivery> {
        self.deliveries.iter().find(|d| record.delivery.as_ref() == Some(&d.id))
    }

    fn suspension(&self, watch: &WatchName) -> Option<&Suspension> {
        let suspensions = &self.snapshot.inbox.suspensions;
        suspensions.iter().find(|s| s.watch == *watch && in_force(s, self.now))
    }

    fn recorded(&self, record: &HeadRecord) -> Answer {
        let open = self
            .snapshot
            .open
            .iter()
            .find(|d| d.watch == record.watch && d.revision == record.revision);
        let suspended = self.suspension(&record.watch).is_some();
        // What a person did since is newer than the record.
        let reason = match &record.reason {
            Reason::Waiting if suspended && open.is_none() => Reason::Suspended,
            Reason::Suspended if !suspended => Reason::Waiting,
            other => other.clone(),
        };
        let delivery = self.delivery(record).filter(|d| !d.dry_run);
        let branch = record.revision.branch.as_str();
        let by_hand = format!(
            "sentry trigger {} --branch {branch} --revision {}",
            record.watch, record.revision.sha
        );
        Answer {
            watch: record.watch.clone(),
            branch: Some(branch.to_owned()),
            sha: Some(record.revision.sha.to_string()),
            at: Some(record.at),
            delivery: record.delivery.as_ref().map(ToString::to_string),
            detail: record.detail.clone().or_else(|| open.and_then(|d| d.error.clone())),
            runs: delivery.map(Totals::of).filter(|runs| runs.total() > 0),
            verdict: delivery.and_then(|d| d.verdict),
            notes: match reason {
                Reason::NoRunMatched => delivery.map(|d| d.notes.clone()).unwrap_or_default(),
                _ => Vec::new(),
            },
            next_step: self.next_step(record, &reason, open, &by_hand),
            reason,
        }
    }

    /// The answer where no decision about the commit is kept.
    fn unrecorded(&self, prefix: &str, watch: &WatchName) -> Answer {
        let kept = self.snapshot.watches.iter().find(|w| w.watch == *watch);
        let outage = kept.and_then(|w| w.unreachable.as_ref());
        let head = self
            .snapshot
            .branches
            .iter()
            .find(|b| b.watch == *watch && b.observed.sha.as_str().starts_with(prefix));
        let suspended = self.suspension(watch);
        let (reason, detail) = match (head, suspended, outage) {
            (Some(_), Some(s), _) => (Reason::Suspended, s.reason.clone()),
            (Some(_), None, _) => (Reason::Waiting, None),
            (None, _, Some(o)) => {
                (Reason::ForgeUnreachable { since: o.since }, Some(o.error.clone()))
            }
            (None, _, None) => (Reason::NotSeen, Some(not_seen_detail(kept.is_some()))),
        };
        let next_step = match &reason {
            Reason::Suspended => format!("`sentry resume {watch}`"),
            Reason::Waiting => self.waiting_for(None),
            _ => self.no_record_step(watch),
        };
        Answer {
            watch: watch.clone(),
            branch: head.map(|b| b.branch.to_string()),
            sha: head.map(|b| b.observed.sha.to_string()),
            at: head.map(|b| b.observed.at),
            delivery: None,
            runs: None,
            verdict: None,
            notes: Vec::new(),
            reason,
            detail,
            next_step,
        }
    }
}

fn not_seen_detail(polled: bool) -> String {
    if polled {
        "it was not a watched branch's head at any poll: pushed together with a later commit, to \
         another branch, or not yet"
            .to_owned()
    } else {
        "no agent has asked for this watch's branches yet".to_owned()
    }
}

fn ambiguous(prefix: &str, shas: [&CommitSha; 2]) -> Failure {
    Failure::usage(format!("{prefix} begins more than one commit: {} and {}", shas[0], shas[1]))
        .with_hint("write more of it")
}

#[cfg(test)]
mod tests {
    use sentry_core::cursor::{BranchState, Mark};
    use sentry_core::revision::Revision;
    use sentry_core::store::{Outage, WatchState};

    use super::*;

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
            revision: Revision { branch: "main".parse().unwrap(), sha: SHA.parse().unwrap() },
            reason,
            at: at(0),
            delivery: None,
            detail: None,
        }
    }

    fn known(records: Vec<HeadRecord>) -> Known {
        Known { records, ..Known::nothing(at(60)) }
    }

    fn reason(known: &Known) -> Reason {
        known.answers(&SHA[..7], &[watch()]).unwrap().remove(0).reason
    }

    fn suspended() -> Suspension {
        Suspension { watch: watch(), reason: None, since: at(1), until: None }
    }

    #[test]
    fn a_record_is_the_answer_and_names_the_next_step() {
        let known = known(vec![record(Reason::Baseline)]);
        let answer = known.answers(SHA, &[watch()]).unwrap().remove(0);
        assert_eq!(answer.reason, Reason::Baseline);
        assert!(answer.next_step.contains(&format!("--branch main --revision {SHA}")));
    }

    #[test]
    fn a_suspension_after_the_record_is_what_a_waiting_commit_waits_for() {
        let mut known = known(vec![record(Reason::Waiting)]);
        known.snapshot.inbox.suspensions.push(suspended());
        assert_eq!(reason(&known), Reason::Suspended);
        known.snapshot.inbox.suspensions[0].until = Some(at(30));
        assert_eq!(reason(&known), Reason::Waiting);
    }

    #[test]
    fn an_unknown_commit_is_not_seen_or_the_forge_was_unreachable_since() {
        let mut known = known(Vec::new());
        assert_eq!(reason(&known), Reason::NotSeen);
        known.snapshot.watches.push(WatchState {
            watch: watch(),
            repo: "https://github.com/a/b".parse().unwrap(),
            patterns: vec!["main".into()],
            unreachable: Some(Outage { since: at(5), error: "no answer".into(), next: None }),
        });
        assert_eq!(reason(&known), Reason::ForgeUnreachable { since: at(5) });
    }

    #[test]
    fn a_head_that_was_seen_but_not_decided_yet_is_waiting() {
        let mut known = known(Vec::new());
        let head = Mark { sha: SHA.parse().unwrap(), at: at(3) };
        known.snapshot.branches.push(BranchState::first_seen(
            watch(),
            "main".parse().unwrap(),
            head,
        ));
        assert_eq!(reason(&known), Reason::Waiting);
        known.snapshot.inbox.suspensions.push(suspended());
        assert_eq!(reason(&known), Reason::Suspended);
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
