//! The engine: polls A, delivers B, keeps what it decided. What another program embeds.
//!
//! `machine` decides, without a store, a port, a clock or a runtime; `owner` is the loop that commits what it decides,
//! publishes the events and makes the calls; `courier` carries one delivery through its named steps.

mod alike;
mod builder;
mod conclude;
mod courier;
mod elsewhere;
mod failure;
mod hints;
mod idle;
mod index;
mod ledger;
mod lookups;
mod machine;
mod notices;
mod outcomes;
mod owner;
mod parts;
mod poller;
mod preview;
mod ready;
mod references;
mod refusals;
mod scheduler;
mod single_flight;
mod standing;
mod unsure;
mod verdict;
mod vitals;
mod waits;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, broadcast};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::delivery::{Delivery, Selection};
use crate::deployer::{DeployError, DeployerPorts, ObjectDiff};
use crate::event::{Event, EventKind};
use crate::fleet::Lease;
use crate::forge::{ForgeError, ForgeErrorKind, ForgePorts};
use crate::ids::TriggerId;
use crate::names::WatchName;
use crate::notifier::Notifier;
use crate::repo::CommitSha;
use crate::retry::Backoff;
use crate::store::{State, StoreError};
use crate::subject::Subject;
use crate::watch::Watch;

use self::machine::{Known, Mode};
use self::owner::Owner;

pub use builder::{BuildError, Builder};
pub use preview::Preview;
pub use vitals::{Asked, Vitals};

/// How an engine works.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many deliveries may be in progress at once, over all targets. Of several watches none has more than half of
    /// them, so that one that hangs does not hold the others up.
    pub max_parallel: usize,
    /// How long an apply in progress may continue after the first stop.
    pub grace: Duration,
    /// The waits between attempts.
    pub backoff: Backoff,
    /// How often other programs' requests are looked for.
    pub inbox_interval: Duration,
    /// How long answered triggers, final deliveries and decisions are kept.
    pub keep: Duration,
    /// How many deliveries of a watch are kept however old they are.
    pub keep_deliveries: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_parallel: 8,
            grace: Duration::from_secs(25),
            backoff: Backoff::default(),
            inbox_interval: Duration::from_secs(1),
            keep: Duration::from_secs(90 * 24 * 3600),
            keep_deliveries: 200,
        }
    }
}

/// The handle that stops a running engine. Clones stop the same engine.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    soft: CancellationToken,
    hard: CancellationToken,
}

impl Stop {
    /// One that nobody used yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A child: this one stops it, and it stops only itself.
    pub(crate) fn child(&self) -> Self {
        Self { soft: self.soft.child_token(), hard: self.hard.child_token() }
    }

    /// Ready once it is told to stop.
    pub(crate) async fn stopping(&self) {
        self.soft.cancelled().await;
    }

    /// No new work; an apply in progress may finish within the grace period.
    pub fn soft(&self) {
        self.soft.cancel();
    }

    /// Immediately: children are killed, unfinished work is finished at the next start.
    pub fn hard(&self) {
        self.soft.cancel();
        self.hard.cancel();
    }

    /// True after either.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.soft.is_cancelled()
    }

    /// True after [`Stop::hard`].
    #[must_use]
    pub fn is_aborted(&self) -> bool {
        self.hard.is_cancelled()
    }
}

/// Why an engine ended, or could not do what was requested.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The store can't be used; [`crate::store::StoreErrorKind::Held`] says that another agent has it,
    /// [`crate::store::StoreErrorKind::Fenced`] that another one took it.
    #[error("the state can't be used")]
    Store(#[from] StoreError),
    /// A forge did not answer what was asked.
    #[error("{what}")]
    Forge {
        /// What was asked.
        what: String,
        /// Why there is no answer.
        #[source]
        source: ForgeError,
    },
    /// The cluster did not answer what was asked.
    #[error("{what}")]
    Deploy {
        /// What was asked.
        what: String,
        /// Why there is no answer.
        #[source]
        source: DeployError,
    },
    /// There is no such watch, branch or delivery; says what there is.
    #[error("{0}")]
    Unknown(String),
    /// It was stopped before it finished.
    #[error("stopped before it finished")]
    Stopped,
}

/// The result of one pass of [`Engine::once`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Summary {
    /// The deliveries of this pass in their current state; one that is not final is waited for by the next pass.
    pub deliveries: Vec<Delivery>,
    /// Watches whose forge did not answer, with the kind and text of the error.
    pub poll_errors: Vec<(WatchName, ForgeErrorKind, String)>,
}

/// Watches branches and delivers. Cheap to clone; clones share everything.
#[derive(Debug, Clone)]
pub struct Engine {
    parts: Arc<Parts>,
}

#[derive(Debug)]
struct Parts {
    known: Arc<Known>,
    forges: BTreeMap<String, ForgePorts>,
    deployers: BTreeMap<String, DeployerPorts>,
    notifiers: BTreeMap<String, Arc<dyn Notifier>>,
    state: State,
    clock: Arc<dyn Clock>,
    holder: String,
    events: broadcast::Sender<Event>,
    hints: hints::Hints,
    /// Somebody says that there is something in the inbox.
    inbox_told: Notify,
    lookups: Arc<lookups::Lookups>,
    pulse: vitals::Pulse,
    /// How long what it works on is its own.
    lease: Lease,
    /// The attempts that the process has room for.
    places: Arc<Semaphore>,
    working: parts::Working,
}

impl Parts {
    fn emit(&self, kind: EventKind) {
        // Nobody listening is no error.
        self.events.send(Event { at: self.clock.now(), kind }).ok();
    }
}

impl Engine {
    /// Starts to build an engine; see [`Builder`].
    #[must_use]
    pub fn builder(state: impl Into<State>) -> Builder {
        Builder::new(state.into())
    }

    /// The event stream from now on. A listener that falls more than 1,024 events behind misses the oldest and learns
    /// how many (`RecvError::Lagged`); the store misses nothing.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.parts.events.subscribe()
    }

    /// The watches, by name.
    #[must_use]
    pub fn watches(&self) -> Vec<&Watch> {
        self.parts.known.watches.values().map(AsRef::as_ref).collect()
    }

    /// Watches and delivers until it is stopped.
    ///
    /// # Errors
    /// [`EngineError::Store`] if the state can't be claimed or read at the start, and if it can't be used any more: another
    /// agent has claimed it since, or damage was found. Then everything in progress was cut off. Later errors of any port,
    /// [`crate::store::StoreErrorKind::Unavailable`] among them, are retried and published as events.
    pub async fn run(&self, stop: &Stop) -> Result<(), EngineError> {
        Owner::work(&self.parts, Mode::Run, stop).await.map(drop)
    }

    /// One pass: asks every forge once, delivers what changed, and waits until it is settled. Outages are waited for
    /// as long as `max_retries` attempts take; what is unfinished then is left for the next pass.
    ///
    /// # Errors
    /// [`EngineError::Store`] as for [`Engine::run`]; [`EngineError::Stopped`] if it was stopped.
    pub async fn once(&self, stop: &Stop) -> Result<Summary, EngineError> {
        let summary = Owner::work(&self.parts, Mode::Once, stop).await?;
        if stop.is_stopping() { Err(EngineError::Stopped) } else { Ok(summary) }
    }

    /// Handles only these triggers, and returns their deliveries in order.
    ///
    /// # Errors
    /// [`EngineError::Store`] as for [`Engine::run`]; [`EngineError::Unknown`] if a trigger was rejected;
    /// [`EngineError::Stopped`] if it was stopped.
    pub async fn settle(
        &self,
        triggers: &[TriggerId],
        stop: &Stop,
    ) -> Result<Vec<Delivery>, EngineError> {
        Owner::work(&self.parts, Mode::Settle(triggers.to_vec()), stop).await?;
        if stop.is_stopping() {
            return Err(EngineError::Stopped);
        }
        let mut deliveries = Vec::new();
        for id in triggers {
            deliveries.push(self.delivery_of(id).await?);
        }
        Ok(deliveries)
    }

    async fn delivery_of(&self, trigger: &TriggerId) -> Result<Delivery, EngineError> {
        use crate::delivery::TriggerState;
        let State { inbox, archive, .. } = &self.parts.state;
        let unknown = || EngineError::Unknown(format!("there is no record of trigger {trigger}"));
        match inbox.trigger(trigger).await?.ok_or_else(unknown)?.state {
            TriggerState::Rejected(why) => Err(EngineError::Unknown(why)),
            TriggerState::Pending => Err(EngineError::Stopped),
            TriggerState::Taken(id) => {
                owner::delivery(archive.as_ref(), &id).await?.ok_or_else(unknown)
            }
        }
    }

    /// What a delivery of a subject's head (or of the given commit) would do. Nothing is written anywhere, nothing is
    /// locked. With neither a commit nor a selection it is what a change would do: what changed in A since the
    /// delivered head counts. Else it is what a person's trigger would do, for which everything counts as changed.
    ///
    /// # Errors
    /// [`EngineError::Unknown`] for a watch or subject that does not exist, [`EngineError::Forge`] and
    /// [`EngineError::Deploy`] if one of them can't be asked.
    pub async fn preview(
        &self,
        watch: &WatchName,
        subject: &Subject,
        sha: Option<&CommitSha>,
        selection: &Selection,
    ) -> Result<Preview, EngineError> {
        let question = preview::Question { watch, subject, sha, selection };
        preview::preview(&self.parts, question).await
    }

    /// What a delivery would do, and what that would change on the cluster, object by object. Nothing is written
    /// anywhere, nothing is locked.
    ///
    /// No object is listed where there is nothing to do, a document is refused, or [`Preview::check`] is an error.
    ///
    /// # Errors
    /// As for [`Engine::preview`]; [`EngineError::Deploy`] also if the deployer can't compute differences.
    pub async fn diff(
        &self,
        watch: &WatchName,
        subject: &Subject,
        sha: Option<&CommitSha>,
        selection: &Selection,
    ) -> Result<(Preview, Vec<ObjectDiff>), EngineError> {
        let question = preview::Question { watch, subject, sha, selection };
        preview::diff(&self.parts, question).await
    }
}
