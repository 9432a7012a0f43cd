//! Builds an engine and checks that nothing is missing.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{Semaphore, broadcast};

use super::machine::Known;
use super::{Engine, Options, Parts};
use crate::clock::{Clock, SystemClock};
use crate::deployer::DeployerPorts;
use crate::fleet::Lease;
use crate::forge::ForgePorts;
use crate::notifier::Notifier;
use crate::store::State;
use crate::watch::Watch;

/// How many events a slow listener may fall behind.
const EVENT_BUFFER: usize = 1024;

/// What is missing or duplicated. The program or its configuration must change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// There is nothing to watch.
    #[error("no watch was given; add at least one")]
    NoWatch,
    /// Two watches have one name.
    #[error("two watches are named {0}; give each a unique name")]
    DoubledWatch(String),
    /// A watch names a forge, deployer or notifier that was not given.
    #[error("watch {watch} names the {kind} {name:?}, which was not given")]
    Missing {
        /// The watch.
        watch: String,
        /// `forge`, `deployer` or `notifier`.
        kind: &'static str,
        /// The name.
        name: String,
    },
}

/// Puts an [`Engine`] together.
#[derive(Debug)]
pub struct Builder {
    watches: Vec<Watch>,
    forges: BTreeMap<String, ForgePorts>,
    deployers: BTreeMap<String, DeployerPorts>,
    notifiers: BTreeMap<String, Arc<dyn Notifier>>,
    state: State,
    clock: Arc<dyn Clock>,
    options: Options,
    holder: String,
}

impl Builder {
    pub(super) fn new(state: State) -> Self {
        Self {
            watches: Vec::new(),
            forges: BTreeMap::new(),
            deployers: BTreeMap::new(),
            notifiers: BTreeMap::new(),
            state,
            clock: Arc::new(SystemClock),
            options: Options::default(),
            holder: format!("process {}", std::process::id()),
        }
    }

    /// Adds a watch.
    #[must_use]
    pub fn watch(mut self, watch: Watch) -> Self {
        self.watches.push(watch);
        self
    }

    /// Adds a forge under the name that watches refer to it by.
    #[must_use]
    pub fn forge(mut self, name: impl Into<String>, forge: ForgePorts) -> Self {
        self.forges.insert(name.into(), forge);
        self
    }

    /// Adds a deployer under the name that watches refer to it by.
    #[must_use]
    pub fn deployer(mut self, name: impl Into<String>, deployer: DeployerPorts) -> Self {
        self.deployers.insert(name.into(), deployer);
        self
    }

    /// Adds a notifier under the name that watches subscribe it by.
    #[must_use]
    pub fn notifier(mut self, name: impl Into<String>, notifier: Arc<dyn Notifier>) -> Self {
        self.notifiers.insert(name.into(), notifier);
        self
    }

    /// Takes timestamps from this clock instead of the machine's.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Uses these options instead of the defaults.
    #[must_use]
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// What another agent learns about the owner of the state: process and host.
    #[must_use]
    pub fn holder(mut self, holder: impl Into<String>) -> Self {
        self.holder = holder.into();
        self
    }

    /// The engine.
    ///
    /// # Errors
    /// [`BuildError`] names what is missing or duplicated.
    pub fn build(self) -> Result<Engine, BuildError> {
        if self.watches.is_empty() {
            return Err(BuildError::NoWatch);
        }
        let mut watches = BTreeMap::new();
        for watch in self.watches {
            for forge in [&watch.source.forge, &watch.manifests.forge] {
                present(&self.forges, &watch, "forge", forge)?;
            }
            present(&self.deployers, &watch, "deployer", &watch.cluster.deployer)?;
            for subscription in &watch.notify {
                present(&self.notifiers, &watch, "notifier", &subscription.receiver)?;
            }
            let name = watch.name.clone();
            if watches.insert(name.clone(), Arc::new(watch)).is_some() {
                return Err(BuildError::DoubledWatch(name.to_string()));
            }
        }
        let dry = self.deployers.iter().filter(|(_, d)| d.dry_run).map(|(name, _)| name.clone());
        let reporters = self.forges.iter().filter(|(_, forge)| forge.reporter.is_some());
        let places = self.options.max_parallel;
        let known = Known {
            watches,
            options: self.options,
            dry: dry.collect(),
            reporters: reporters.map(|(name, _)| name.clone()).collect(),
            notifiers: self.notifiers.keys().cloned().collect(),
        };
        let parts = Parts {
            known: Arc::new(known),
            forges: self.forges,
            deployers: self.deployers,
            notifiers: self.notifiers,
            state: self.state,
            clock: self.clock,
            holder: self.holder,
            events: broadcast::channel(EVENT_BUFFER).0,
            hints: Default::default(),
            inbox_told: Default::default(),
            lookups: Default::default(),
            pulse: Default::default(),
            lease: Lease::endless(),
            places: Arc::new(Semaphore::new(places)),
            working: Default::default(),
        };
        Ok(Engine { parts: Arc::new(parts) })
    }
}

fn present<T>(
    given: &BTreeMap<String, T>,
    watch: &Watch,
    kind: &'static str,
    name: &str,
) -> Result<(), BuildError> {
    if given.contains_key(name) {
        return Ok(());
    }
    Err(BuildError::Missing { watch: watch.name.to_string(), kind, name: name.to_owned() })
}
