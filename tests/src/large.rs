//! A large state in a real SQLite file: watches with branches of every kind, each with a history.

use sentry_core::cursor::Cursors;
use sentry_core::delivery::{Asked, CommitNote, Delivery, DeliveryState, RunState, Verdict};
use sentry_core::plan::Action;
use sentry_core::revision::Revision;
use sentry_core::store::{WatchState, Write};
use sentry_core::testing::{commit, sample};
use sentry_server::page::{Repository, WatchPlace, Web};
use sentry_store::SqliteStore;

/// How large it is.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Watches.
    pub watches: u32,
    /// Branches of each watch.
    pub branches: u32,
    /// Deliveries of each watch, spread over its branches; at least one of each.
    pub deliveries: u32,
    /// Objects of each delivery; three of ten are runs, and the first is.
    pub objects: u32,
}

/// How a branch stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Its runs failed.
    Failed,
    /// Its runs are in progress.
    Moving,
    /// A new head waits.
    Waiting,
    /// Its runs succeeded.
    Fine,
}

impl Size {
    /// What the page is made for.
    pub const FULL: Self = Self { watches: 200, branches: 20, deliveries: 200, objects: 10 };

    /// Of the `n`th branch of all: of ten one failed, one moves, one waits.
    #[must_use]
    pub fn kind(n: u32) -> Kind {
        match n % 10 {
            0 => Kind::Failed,
            1 => Kind::Moving,
            2 => Kind::Waiting,
            _ => Kind::Fine,
        }
    }

    /// The number of the newest delivery of the `n`th branch: its commit and its title have it as well.
    #[must_use]
    pub fn newest(self, n: u32) -> u32 {
        let (watch, branch) = (n / self.branches, n % self.branches);
        watch * self.deliveries + self.deliveries - self.branches + branch + 1
    }

    /// How the page knows the watches.
    ///
    /// # Panics
    /// Never: the address is one.
    #[must_use]
    pub fn places(self) -> Vec<WatchPlace> {
        let web = || Web {
            commits: &["commit"],
            compare: &["compare"],
            base: "https://git.example.com".parse().expect("an address"),
        };
        let repository = |path: String| Repository { path, web: Some(web()) };
        let place = |n| WatchPlace {
            name: watch_name(n),
            source: repository(format!("product/service-{n}")),
            branches: vec!["release/*".to_owned()],
            manifests: repository("qa/pipelines".to_owned()),
            dir: ".tekton".to_owned(),
            target: "qa".to_owned(),
            dashboard: None,
        };
        (0..self.watches).map(place).collect()
    }

    /// Writes it, a transaction for each watch.
    ///
    /// # Panics
    /// When it can't be written.
    pub async fn fill(self, store: &SqliteStore) {
        for n in 0..self.watches {
            commit(store, &self.watch(n)).await.expect("the state takes it");
        }
    }

    fn watch(self, number: u32) -> Vec<Write> {
        let name = sample::watch(&watch_name(number));
        let state = WatchState { watch: name.clone(), unreachable: None, ..sample::watch_state(1) };
        let mut writes = vec![Write::Watch(state)];
        for n in 0..self.deliveries {
            let (id, branch) = (number * self.deliveries + n + 1, n % self.branches);
            let is_newest = n + self.branches >= self.deliveries;
            let kind =
                if is_newest { Self::kind(number * self.branches + branch) } else { Kind::Fine };
            let delivery = self.delivery(id, &watch_name(number), branch, kind);
            if is_newest {
                let (subject, mark) = (delivery.revision.subject.clone(), sample::mark(id));
                let seen = Cursors::first_seen(name.clone(), subject, mark.clone());
                let observed = match kind {
                    Kind::Waiting => sample::mark(id + 1_000_000),
                    _ => mark.clone(),
                };
                let delivered = (kind != Kind::Moving).then(|| mark.clone());
                let (attempted, baseline) = (Some(mark), None);
                writes.push(Write::Cursors(Cursors {
                    observed,
                    attempted,
                    delivered,
                    baseline,
                    ..seen
                }));
            }
            writes.push(Write::Delivery(Box::new(delivery)));
        }
        writes
    }

    fn delivery(self, n: u32, watch: &str, branch: u32, kind: Kind) -> Delivery {
        let (state, run, verdict) = match kind {
            Kind::Failed => (DeliveryState::Failed, RunState::Failed, Some(Verdict::Failure)),
            Kind::Moving => (DeliveryState::Following, RunState::Running, None),
            Kind::Waiting | Kind::Fine => {
                (DeliveryState::Succeeded, RunState::Succeeded, Some(Verdict::Success))
            }
        };
        let subject = sample::subject(&branch_name(branch));
        let mut delivery = Delivery {
            id: sample::id(n),
            watch: sample::watch(watch),
            revision: Revision { subject, sha: sample::sha(n) },
            commit: Some(note(n)),
            asked: Asked { dry_run: false, only: None, repeats: None, ..sample::asked(n) },
            state,
            finished: state.is_final().then(|| sample::time(n)),
            verdict,
            passed: None,
            next_attempt: None,
            error: (kind == Kind::Failed).then(|| format!("1 of 3 runs failed: checkout-{n}")),
            superseded_by: None,
            objects: Vec::new(),
            runs: Vec::new(),
            ..sample::delivery(n)
        };
        for at in 0..self.objects {
            let (mut outcome, mut record) = (sample::outcome(Action::Created), sample::run(run));
            outcome.object.name = format!("object-{n}-{at}");
            outcome.run = at % 10 < 3;
            record.object = outcome.object.clone();
            delivery.runs.extend(outcome.run.then_some(record));
            delivery.objects.push(outcome);
        }
        delivery
    }
}

/// The name of the `n`th watch.
#[must_use]
pub fn watch_name(n: u32) -> String {
    format!("watch-{n}")
}

/// The name of a watch's `n`th branch.
#[must_use]
pub fn branch_name(n: u32) -> String {
    format!("release/{n}")
}

/// What the `n`th commit says of itself.
#[must_use]
pub fn note(n: u32) -> CommitNote {
    let authors = ["Ada Lovelace", "Grace Hopper", "Barbara Liskov", "林巧稚", "Radia Perlman"];
    CommitNote {
        title: format!("Change {n}: retry payments that timed out at the acquirer"),
        author: authors[n as usize % authors.len()].to_owned(),
        committed: Some(sample::time(n)),
    }
}
