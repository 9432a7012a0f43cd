//! What is shown of a state: small, found by index, and told page by page.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{AgentState, Report, Suspension, WatchState};
use crate::clock::Timestamp;
use crate::cursor::Cursors;
use crate::delivery::{
    CommitNote, Delivery, DeliveryState, RunRecord, RunState, RunTotals, Verdict, counted,
};
use crate::fleet::{Slot, Term};
use crate::ids::DeliveryId;
use crate::names::WatchName;
use crate::plan::Action;
use crate::repo::CommitSha;
use crate::revision::Revision;
use crate::subject::{Subject, SubjectKey};

/// What an [`Overview`] is to tell.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OverviewQuery {
    /// Only this watch.
    pub watch: Option<WatchName>,
    /// Which subjects.
    pub subjects: SubjectFilter,
    /// Only subjects with this in their name or their watch's, in small or capital letters.
    pub text: Option<String>,
    /// Only subjects after this one, in the order of watch and reference: the last one of the page before.
    pub after: Option<SubjectKey>,
    /// At most so many subjects; `None` is all.
    pub limit: Option<usize>,
    /// Which deliveries of the watch are told of as [`Past`]; `None` is none, as it is where no watch is named.
    pub past: Option<PastQuery>,
}

impl OverviewQuery {
    /// The watches, without their subjects.
    #[must_use]
    pub fn watches() -> Self {
        Self { limit: Some(0), ..Self::default() }
    }

    /// One subject of one watch.
    #[must_use]
    pub fn subject(watch: &WatchName, subject: &Subject) -> Self {
        let subjects = SubjectFilter::Is(subject.clone());
        Self { watch: Some(watch.clone()), subjects, ..Self::default() }
    }

    /// Whether a subject of a watch that is asked about is wanted: for a store that has no index.
    #[must_use]
    pub fn selects(&self, cursors: &Cursors) -> bool {
        let later = self.after.as_ref().is_none_or(|(watch, subject)| {
            (&cursors.watch, cursors.subject.reference()) > (watch, subject.reference())
        });
        let text = self.text.as_ref().map(|text| text.to_lowercase());
        let holds = |text: &String| {
            let names = [cursors.watch.as_str(), &cursors.subject.text()];
            names.iter().any(|name| name.to_lowercase().contains(text))
        };
        later
            && text.as_ref().is_none_or(holds)
            && match &self.subjects {
                SubjectFilter::All => true,
                SubjectFilter::Is(subject) => cursors.subject == *subject,
                SubjectFilter::Unsettled => cursors.is_change(),
                SubjectFilter::HeadStarts(prefix) => {
                    cursors.observed.sha.as_str().starts_with(prefix)
                }
            }
    }
}

/// Which subjects are wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum SubjectFilter {
    /// Every one.
    #[default]
    All,
    /// This one.
    Is(Subject),
    /// Those whose head is not settled ([`Cursors::is_change`]).
    Unsettled,
    /// Those whose observed head's id starts so (lower-case hex).
    HeadStarts(String),
}

/// What is shown of a state, of one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Overview {
    /// The watches of which there is a state or a suspension, by name.
    pub watches: Vec<WatchView>,
    /// The subjects that were asked for, by watch and reference.
    pub subjects: Vec<SubjectView>,
    /// Runs that wait for room, by watch and namespace.
    pub queue: Vec<QueueView>,
    /// Receivers that are still to be told something of these watches, by name.
    pub receivers: Vec<ReceiverView>,
    /// The agent that last worked on the store.
    pub agent: Option<AgentState>,
    /// The deliveries of the past that were asked for, newest first.
    pub past: Vec<Past>,
    /// Who works for which part, of a state that many processes share; `None` for one that an agent owns as a whole.
    pub fleet: Option<FleetView>,
}

/// Who works for which part of a state.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FleetView {
    /// The live members, by the time for which they have been that, longest first.
    pub members: Vec<MemberView>,
    /// The watches that no live member works for, by name.
    pub unowned: Vec<WatchName>,
}

/// A live member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberView {
    /// Its process and host.
    pub holder: String,
    /// How long it has been a member.
    pub age: Duration,
    /// The slots that it owns, each with its term.
    pub slots: Vec<(Slot, Term)>,
    /// How many watches are in them.
    pub watches: usize,
}

/// Deliveries that others are compared with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PastQuery {
    /// Only this subject's.
    pub subject: Option<Subject>,
    /// Only older ones than this.
    pub before: Option<DeliveryId>,
    /// Only those that were started then or later.
    pub since: Option<Timestamp>,
    /// At most so many, the newest.
    pub limit: usize,
    /// Of so many of them, the newest, their runs are told as well.
    pub with_runs: usize,
}

impl PastQuery {
    /// Whether a delivery of the watch is wanted, apart from the limit: for a store that has no index.
    #[must_use]
    pub fn selects(&self, delivery: &Delivery) -> bool {
        self.subject.as_ref().is_none_or(|subject| *subject == delivery.revision.subject)
            && self.before.as_ref().is_none_or(|before| delivery.id < *before)
            && self.since.is_none_or(|since| delivery.started >= since)
    }
}

/// A delivery of the past, as far as others are compared with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Past {
    /// Its id.
    pub id: DeliveryId,
    /// The head that it brought.
    pub revision: Revision,
    /// True if nothing was to be written.
    pub dry_run: bool,
    /// Where it stands.
    pub state: DeliveryState,
    /// How its runs ended, once all did.
    pub verdict: Option<Verdict>,
    /// When it was started.
    pub started: Timestamp,
    /// When it ended.
    pub finished: Option<Timestamp>,
    /// Its runs, where they were asked for and are kept apart: of a state of before schema 7 they are not.
    pub runs: Vec<PastRun>,
}

/// A run of the past.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastRun {
    /// The file, relative to B's directory.
    pub path: String,
    /// The document's place in its file, from 1.
    pub document: usize,
    /// The name it has on the cluster.
    pub name: String,
    /// Its state.
    pub state: RunState,
    /// When it began, by the cluster's clock.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub completed: Option<Timestamp>,
}

impl Past {
    /// Of a delivery, with its runs or without.
    #[must_use]
    pub fn of(delivery: &Delivery, with_runs: bool) -> Self {
        let runs = delivery.runs.iter().filter(|_| with_runs);
        Self {
            id: delivery.id.clone(),
            revision: delivery.revision.clone(),
            dry_run: delivery.asked.dry_run,
            state: delivery.state,
            verdict: delivery.verdict,
            started: delivery.started,
            finished: delivery.finished,
            runs: runs.map(PastRun::from).collect(),
        }
    }
}

impl From<&RunRecord> for PastRun {
    fn from(run: &RunRecord) -> Self {
        Self {
            path: run.object.path.clone(),
            document: run.object.document,
            name: run.object.name.clone(),
            state: run.state,
            started: run.started,
            completed: run.completed,
        }
    }
}

/// One watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchView {
    /// Its name.
    pub watch: WatchName,
    /// What is kept of it, once it was asked for.
    pub state: Option<WatchState>,
    /// Its suspension, in force or past.
    pub suspension: Option<Suspension>,
    /// Why no statuses are shown: the newest one that is not due if it was given up, else the oldest one that was
    /// tried in vain.
    pub reporting: Option<Report>,
    /// Triggers that nobody took.
    pub triggers: usize,
    /// When a head that makes something run was last delivered.
    pub last_success: Option<Timestamp>,
    /// How its newest deliveries stand, the newest first, at most [`RECENT`].
    pub recent: Vec<DeliveryState>,
}

/// So many deliveries of a watch are told of in a [`WatchView`].
pub const RECENT: usize = 12;

/// One subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubjectView {
    /// Its cursors.
    pub cursors: Cursors,
    /// Its deliveries that are not final, oldest first; with the runs that count beside their own, as in `delivered`.
    pub open: Vec<Brief>,
    /// Its newest delivery.
    pub newest: Option<Brief>,
    /// The newest delivery of its delivered head that [has runs](Brief::has_runs); where it [is a part](Brief::is_part), with
    /// the newest run of each document that it did not run anew.
    pub delivered: Option<Brief>,
}

/// Runs that wait for room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueView {
    /// The watch.
    pub watch: WatchName,
    /// The namespace, where the runs name one.
    pub namespace: Option<String>,
    /// How many.
    pub runs: usize,
}

impl QueueView {
    /// What waits of these deliveries.
    #[must_use]
    pub fn of<'a>(open: impl IntoIterator<Item = &'a Delivery>) -> Vec<Self> {
        let mut runs = BTreeMap::<_, usize>::new();
        for delivery in open {
            let objects = delivery.objects.iter().filter(|o| o.action == Action::Queued);
            for outcome in objects {
                let key = (delivery.watch.clone(), outcome.object.namespace.clone());
                *runs.entry(key).or_default() += 1;
            }
        }
        let view = |((watch, namespace), runs)| Self { watch, namespace, runs };
        runs.into_iter().map(view).collect()
    }
}

/// A receiver that is still to be told something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiverView {
    /// Its name.
    pub receiver: String,
    /// How many notices wait for it.
    pub waiting: usize,
    /// Since when the oldest waits.
    pub since: Timestamp,
    /// Why it was not told: the error of the oldest notice that has one.
    pub error: Option<String>,
}

/// A delivery without its objects, runs, steps and notes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Brief {
    /// Its id.
    pub id: DeliveryId,
    /// The watch.
    pub watch: WatchName,
    /// The head that it brings.
    pub revision: Revision,
    /// What A's commit says of itself, once its forge was asked.
    pub commit: Option<CommitNote>,
    /// True if nothing may be written.
    pub dry_run: bool,
    /// Where it stands.
    pub state: DeliveryState,
    /// Failed attempts of any kind in a row.
    pub tries: u32,
    /// When the next attempt is due.
    pub next_attempt: Option<Timestamp>,
    /// How its runs ended, once all did.
    pub verdict: Option<Verdict>,
    /// The last error.
    pub error: Option<String>,
    /// Its runs, counted.
    pub runs: RunTotals,
    /// True if it counts with what its commit ran before ([`Delivery::is_part`]).
    pub is_part: bool,
}

impl Brief {
    /// How a delivery [counts](counted) among all of its commit, which are given oldest first.
    #[must_use]
    pub fn counted(deliveries: &[Delivery], id: &DeliveryId) -> Option<Self> {
        counted(deliveries).iter().find(|delivery| delivery.id == *id).map(|d| d.as_ref().into())
    }

    /// True if some of its runs wait for the namespace to have room.
    #[must_use]
    pub fn is_queued(&self) -> bool {
        !self.state.is_final() && self.runs.queued > 0
    }

    /// True if it put runs on the cluster, or will.
    #[must_use]
    pub fn has_runs(&self) -> bool {
        !self.dry_run && (self.is_queued() || self.runs.total > self.runs.queued)
    }
}

impl From<&Delivery> for Brief {
    fn from(delivery: &Delivery) -> Self {
        Self {
            id: delivery.id.clone(),
            watch: delivery.watch.clone(),
            revision: delivery.revision.clone(),
            commit: delivery.commit.clone(),
            dry_run: delivery.asked.dry_run,
            state: delivery.state,
            tries: delivery.attempts.tries,
            next_attempt: delivery.next_attempt,
            verdict: delivery.verdict,
            error: delivery.error.clone(),
            runs: delivery.run_totals(),
            is_part: delivery.is_part(),
        }
    }
}

/// Which deliveries are wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeliveryQuery {
    /// Only this watch's.
    pub watch: Option<WatchName>,
    /// Only this subject's.
    pub subject: Option<Subject>,
    /// Only those of this commit of A.
    pub sha: Option<CommitSha>,
    /// Only those in one of these states; none is any.
    pub states: Vec<DeliveryState>,
    /// Only those whose commit this person wrote, as its forge names them; in small or capital letters.
    pub author: Option<String>,
    /// Only those with this in the watch's or branch's name, in the commit's title or author, or at the beginning of its id;
    /// in small or capital letters. Without a watch or commit at least [`DeliveryQuery::TEXT_CHARS`] characters: fewer find nothing.
    pub text: Option<String>,
    /// Only those that were begun at this moment or later, by their ids.
    pub since: Option<Timestamp>,
    /// Only those that were begun before, by their ids.
    pub until: Option<Timestamp>,
    /// Only ids that start so.
    pub id_prefix: Option<String>,
    /// Only older ones than this: the last one of the page before.
    pub before: Option<DeliveryId>,
    /// At most so many; `None` is all.
    pub limit: Option<usize>,
}

impl DeliveryQuery {
    /// The fewest characters by which the deliveries of all watches can be searched.
    pub const TEXT_CHARS: usize = 3;

    /// The first id that deliveries begun at this moment can have.
    #[must_use]
    pub fn first_id(at: Timestamp) -> DeliveryId {
        DeliveryId::new(at, 0)
    }

    /// Whether a delivery is wanted, apart from the limit: for a store that has no index.
    #[must_use]
    pub fn selects(&self, delivery: &Delivery) -> bool {
        fn is<T: PartialEq>(wanted: Option<&T>, it: &T) -> bool {
            wanted.is_none_or(|wanted| wanted == it)
        }
        let Delivery { id, watch, revision, commit, state, .. } = delivery;
        let author = commit.as_ref().map_or("", |note| note.author.as_str());
        is(self.watch.as_ref(), watch)
            && is(self.subject.as_ref(), &revision.subject)
            && is(self.sha.as_ref(), &revision.sha)
            && (self.states.is_empty() || self.states.contains(state))
            && self.author.as_ref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(author))
            && self.text.as_ref().is_none_or(|text| self.is_found_by(text, delivery))
            && self.since.is_none_or(|since| *id >= Self::first_id(since))
            && self.until.is_none_or(|until| *id < Self::first_id(until))
            && id.as_str().starts_with(self.id_prefix.as_deref().unwrap_or_default())
            && self.before.as_ref().is_none_or(|before| id < before)
    }

    fn is_found_by(&self, text: &str, delivery: &Delivery) -> bool {
        let Delivery { watch, revision, commit, .. } = delivery;
        let note = commit.as_ref().map(|note| [note.title.as_str(), note.author.as_str()]);
        let names = [watch.as_str(), &revision.subject.text()];
        let text = text.to_lowercase();
        let holds = |known: &str| known.to_lowercase().contains(&text);
        let is_long =
            self.watch.is_some() || self.sha.is_some() || text.chars().count() >= Self::TEXT_CHARS;
        let is_named = names.into_iter().chain(note.into_iter().flatten()).any(holds);
        is_long && (is_named || revision.sha.as_str().starts_with(&text))
    }
}
