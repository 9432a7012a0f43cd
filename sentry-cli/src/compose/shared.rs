//! A state that many processes share: its database, and which slot of it each watch is in.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use sentry_config::{Config, DeployerKind, PostgresState};
use sentry_core::engine::{EngineError, Stop};
use sentry_core::fleet::{Fleet, Slot, Slots, Wire};
use sentry_core::names::{ClusterRef, WatchName};
use sentry_core::secret::{Redactor, SecretSource};
use sentry_core::store::Sessions;
use sentry_core::watch::Watch;
use sentry_store::{PostgresConfig, PostgresStore};

use super::{ComposeError, Composition};

/// What processes that share a state have of it.
#[derive(Debug, Clone)]
pub struct Sharing {
    /// Who works for what.
    pub slots: Arc<dyn Slots>,
    /// What they tell each other.
    pub wire: Arc<dyn Wire>,
    /// Who is logged in to the page.
    pub sessions: Arc<dyn Sessions>,
}

impl From<Arc<PostgresStore>> for Sharing {
    fn from(store: Arc<PostgresStore>) -> Self {
        let (slots, wire) = (Arc::clone(&store), Arc::clone(&store));
        Self { slots, wire, sessions: store }
    }
}

/// A state that many processes share, and which slot of it each watch is in.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) with: Sharing,
    of: BTreeMap<WatchName, Slot>,
}

impl Composition {
    /// The same for a state that many processes share: [`Composition::run`] works for what it owns of it, the others are told
    /// over the wire, and who is logged in to the page at one of them is at all.
    ///
    /// # Errors
    /// [`ComposeError::Deployer`] if a kubeconfig does not say which cluster it means.
    pub async fn share(self, with: Sharing) -> Result<Self, ComposeError> {
        let of = slots_of(&self.config).await?;
        self.engine.join(Arc::clone(&with.wire));
        Ok(Self { shared: Some(Shared { with, of }), ..self })
    }

    /// Watches and delivers until it is stopped: for the whole state, or as one of those that share it.
    ///
    /// # Errors
    /// As [`Engine::run`](sentry_core::engine::Engine::run) and [`Fleet::run`].
    pub async fn run(&self, stop: &Stop) -> Result<(), EngineError> {
        let Some(Shared { with, of }) = &self.shared else { return self.engine.run(stop).await };
        let slot_of = |watch: &Watch| {
            let slot = of.get(&watch.name).copied();
            slot.unwrap_or_else(|| Slot::of("", &watch.cluster.namespace))
        };
        Fleet::new(self.engine.clone(), Arc::clone(&with.slots), slot_of).run(stop).await
    }
}

/// The slot of each watch: by its namespace, and by its cluster as every process calls it.
async fn slots_of(config: &Config) -> Result<BTreeMap<WatchName, Slot>, ComposeError> {
    let mut clusters = BTreeMap::new();
    let mut slots = BTreeMap::new();
    for Watch { name, cluster, .. } in &config.watches {
        let identity = match clusters.entry((&cluster.deployer, &cluster.context)) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => unknown.insert(identity(config, cluster).await?),
        };
        slots.insert(name.clone(), Slot::of(identity, &cluster.namespace));
    }
    Ok(slots)
}

async fn identity(config: &Config, cluster: &ClusterRef) -> Result<String, ComposeError> {
    let deployer = config.deployers.iter().find(|one| one.name == cluster.deployer);
    let kubeconfig = deployer.and_then(|one| match &one.kind {
        DeployerKind::Native { kubeconfig } => kubeconfig.as_deref(),
        DeployerKind::Kubectl { .. } | DeployerKind::DryRun => None,
    });
    let identity = sentry_deploy::cluster_identity(kubeconfig, cluster.context.as_deref()).await;
    identity.map_err(|source| ComposeError::Deployer { name: cluster.deployer.clone(), source })
}

/// A state in a database, for one of the agents that share it. The database is not asked anything yet.
///
/// # Errors
/// [`ComposeError::State`] if its URL can't be used, or its `ca_file`.
pub fn shared_store(
    postgres: &PostgresState,
    redactor: &Redactor,
) -> Result<Arc<PostgresStore>, ComposeError> {
    let store = PostgresStore::new(database(postgres, redactor)?);
    store.map(Arc::new).map_err(|source| ComposeError::State { source: source.into() })
}

pub(super) fn database(
    postgres: &PostgresState,
    redactor: &Redactor,
) -> Result<PostgresConfig, ComposeError> {
    let config = PostgresConfig::new(&postgres.url);
    let config = config.map_err(|source| ComposeError::State { source: source.into() })?;
    let config = config.with_ca_file(postgres.ca_file.clone());
    Ok(match &postgres.password_file {
        Some(file) => config.with_password(SecretSource::File(file.clone()), redactor.clone()),
        None => config,
    })
}
