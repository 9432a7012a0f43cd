//! An agent whose ports die, take their time, or lose an answer: over the fakes, object by object.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use sentry_core::deployer::{DeployError, DeployErrorKind};
use sentry_core::forge::ForgePorts;
use sentry_core::store::State;
use sentry_core::testing::fakes::FakeDeployer;
use sentry_core::testing::fate::Fate;
use sentry_core::testing::hooked::{Call, Fault, Hook, Hooked, OneByOne};

use crate::world::World;

/// How long a call takes that takes its time: longer than the agent needs to look at its inbox.
pub(crate) const PAUSE: Duration = Duration::from_secs(3);

/// Its fate, and the create whose answer is lost, counted from 1: with it the cluster is away.
#[derive(Debug)]
pub(crate) struct Mortal {
    pub(crate) fate: Arc<Fate>,
    lost: usize,
    creates: AtomicUsize,
    cluster: Arc<FakeDeployer>,
}

impl Mortal {
    /// Starts an agent that loses no answer.
    pub(crate) fn start(world: &mut World, fate: &Arc<Fate>) -> Arc<Self> {
        Self::start_losing(world, fate, usize::MAX)
    }

    /// Starts an agent.
    pub(crate) fn start_losing(world: &mut World, fate: &Arc<Fate>, lost: usize) -> Arc<Self> {
        let (fate, creates) = (Arc::clone(fate), AtomicUsize::new(0));
        let cluster = Arc::clone(&world.deployer);
        let mortal = Arc::new(Self { fate, lost, creates, cluster });
        let forge = ForgePorts::with_statuses(Hooked::new(&world.forge, &mortal));
        let deployer = OneByOne(Hooked::new(&world.deployer, &mortal));
        let journal = Hooked::new(&world.store, &mortal);
        let state = State { journal, ..Arc::clone(&world.store).into() };
        world.start_on(forge, Arc::new(deployer), state);
        mortal
    }

    /// True once the answer is lost.
    pub(crate) fn has_lost(&self) -> bool {
        self.creates.load(Ordering::Relaxed) >= self.lost
    }
}

#[async_trait]
impl Hook for Mortal {
    async fn before(&self, call: Call<'_>) -> Result<(), Fault> {
        self.fate.before(call).await
    }
    async fn after(&self, call: Call<'_>) -> Result<(), Fault> {
        let runs = match call {
            Call::Apply(plan) => plan.objects.iter().filter(|planned| planned.is_run()).count(),
            _ => 0,
        };
        let made = runs + self.creates.fetch_add(runs, Ordering::Relaxed);
        let is_lost = runs > 0 && made == self.lost;
        if is_lost {
            self.cluster.down(true);
        }
        self.fate.after(call).await?;
        let text = "the answer was lost";
        let error = || Fault::Deploy(DeployError::new(DeployErrorKind::Unreachable, text));
        if is_lost { Err(error()) } else { Ok(()) }
    }
}
