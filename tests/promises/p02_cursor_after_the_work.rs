//! 2: whatever fails, and wherever, the cursor moves only to a head whose every object is on the cluster.
//!
//! Each call of each port fails in turn, in every way it can. The judge stands before the state and the cluster: it looks
//! at the cluster at the moment at which a cursor is written, and into the state at the moment at which something is sent.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use sentry_core::delivery::{Delivery, DeliveryState, Reason};
use sentry_core::deployer::{
    Checked, DeployError, DeployErrorKind, Deployer, FollowQuery, Retire, RunChange,
};
use sentry_core::forge::{ForgeError, ForgeErrorKind, ForgePorts};
use sentry_core::plan::{Action, ChangeSet, ObjectOutcome, Plan};
use sentry_core::store::{State, StoreError, StoreErrorKind, Write};
use sentry_core::testing::fakes::FakeDeployer;
use sentry_core::testing::hooked::{self, Call, Hook, Hooked};
use sentry_store::MemoryStore;
use sentry_tests::promise::kept;

use crate::world::{FILES, RUNS, World, commit_of, seconds};

/// A kind of call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Heads,
    Commit,
    Tree,
    Check,
    Apply,
    State,
}

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq)]
enum How {
    Forge(ForgeErrorKind),
    Deploy(DeployErrorKind),
    /// The first objects are written, the next one fails, and the answer says so.
    Partly(usize),
    /// As before, but the answer does not say why.
    Unexplained(usize),
    /// The first objects are written, and the answer forgets the others.
    Short(usize),
    /// Everything is written, and the answer is lost.
    Lost,
    Panics,
    PanicsAfter,
    Hangs,
    StateRefused,
    /// Everything is kept, and the answer is lost.
    StateLost,
}

const FORGE: [How; 10] = [
    How::Forge(ForgeErrorKind::Unreachable),
    How::Forge(ForgeErrorKind::RateLimited),
    How::Forge(ForgeErrorKind::Unauthorized),
    How::Forge(ForgeErrorKind::NotFound),
    How::Forge(ForgeErrorKind::WrongAnswer),
    How::Forge(ForgeErrorKind::TooLarge),
    How::Forge(ForgeErrorKind::Unsupported),
    How::Forge(ForgeErrorKind::Local),
    How::Panics,
    How::Hangs,
];
const DEPLOY: [How; 9] = [
    How::Deploy(DeployErrorKind::Unreachable),
    How::Deploy(DeployErrorKind::Forbidden),
    How::Deploy(DeployErrorKind::Refused),
    How::Deploy(DeployErrorKind::NameConflict),
    How::Deploy(DeployErrorKind::Local),
    How::Deploy(DeployErrorKind::Timeout),
    How::Deploy(DeployErrorKind::Interrupted),
    How::Panics,
    How::Hangs,
];

fn ways(call: Step) -> Vec<How> {
    match call {
        Step::Heads | Step::Commit | Step::Tree => FORGE.to_vec(),
        Step::Check => DEPLOY.to_vec(),
        Step::Apply => {
            let partial =
                (0..FILES.len()).flat_map(|k| [How::Partly(k), How::Unexplained(k), How::Short(k)]);
            DEPLOY.into_iter().chain([How::Lost, How::PanicsAfter]).chain(partial).collect()
        }
        Step::State => vec![How::StateRefused, How::StateLost],
    }
}

/// Which call fails: the `n`th one of its kind, or that one and all after it.
#[derive(Debug, Clone, Copy)]
struct Fault {
    call: Step,
    how: How,
    n: usize,
    lasts: bool,
    /// A newer head comes a second later.
    overtaken: bool,
}

/// A panic that prints nothing: there are hundreds.
fn breaks_down() -> ! {
    std::panic::resume_unwind(Box::new("injected"))
}

/// The fault, once it is armed, and what was seen.
#[derive(Debug, Default)]
struct Judge {
    armed: Mutex<Option<Fault>>,
    calls: AtomicUsize,
    failures: AtomicUsize,
    /// Cursors that were written before the work was done, and what was sent before its Intent was kept.
    premature: Mutex<Vec<String>>,
    sent: AtomicUsize,
    /// The commit that is being made will have no answer.
    state_lost: AtomicBool,
}

impl Judge {
    /// How this call fails, if it does.
    fn fails(&self, call: Step) -> Option<How> {
        let fault = self.armed.lock().unwrap().filter(|fault| fault.call == call)?;
        let n = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        let hit = n == fault.n || (fault.lasts && n > fault.n);
        if hit {
            self.failures.fetch_add(1, Ordering::Relaxed);
        }
        hit.then_some(fault.how)
    }

    /// For calls of a forge.
    async fn forge(&self, call: Step) -> Result<(), hooked::Fault> {
        let failed = |kind| Err(hooked::Fault::Forge(ForgeError::new(kind, "injected")));
        match self.fails(call) {
            None => Ok(()),
            Some(How::Forge(kind)) => failed(kind),
            Some(How::Hangs) if call == Step::Heads => {
                tokio::time::sleep(Duration::from_secs(30)).await;
                failed(ForgeErrorKind::Unreachable)
            }
            Some(How::Hangs) => std::future::pending().await,
            Some(_) => breaks_down(),
        }
    }
}

/// The judge, with the cluster and the state that it looks at.
#[derive(Debug)]
struct Bench {
    judge: Arc<Judge>,
    cluster: Arc<FakeDeployer>,
    state: Arc<MemoryStore>,
}

#[async_trait]
impl Hook for Bench {
    async fn before(&self, call: Call<'_>) -> Result<(), hooked::Fault> {
        match call {
            Call::Heads(_) => self.judge.forge(Step::Heads).await,
            Call::Tree(_) => self.judge.forge(Step::Tree).await,
            Call::CommitInfo(..) => self.judge.forge(Step::Commit).await,
            Call::Commit(writes) => {
                self.look(writes);
                match self.judge.fails(Step::State) {
                    Some(How::StateLost) => {
                        self.judge.state_lost.store(true, Ordering::Relaxed);
                        Ok(())
                    }
                    Some(_) => Err(full()),
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    async fn after(&self, call: Call<'_>) -> Result<(), hooked::Fault> {
        let lost = || self.judge.state_lost.swap(false, Ordering::Relaxed);
        if matches!(call, Call::Commit(_)) && lost() { Err(full()) } else { Ok(()) }
    }
}

fn full() -> hooked::Fault {
    hooked::Fault::Store(StoreError::new(StoreErrorKind::Unavailable, "injected"))
}

/// A cluster whose answers are wrong in ways of their own.
#[derive(Debug)]
struct Judged {
    inner: Arc<FakeDeployer>,
    bench: Arc<Bench>,
}

#[async_trait]
impl Deployer for Judged {
    async fn check(&self, plan: &Plan) -> Result<Checked, DeployError> {
        match self.bench.judge.fails(Step::Check) {
            None => self.inner.check(plan).await,
            Some(How::Deploy(kind)) => Err(DeployError::new(kind, "injected")),
            Some(How::Hangs) => std::future::pending().await,
            Some(_) => breaks_down(),
        }
    }
    async fn apply(&self, plan: &Plan, checked: &Checked) -> Result<ChangeSet, DeployError> {
        let away = || DeployError::new(DeployErrorKind::Unreachable, "injected");
        self.bench.sent(plan);
        match self.bench.judge.fails(Step::Apply) {
            None => self.inner.apply(plan, checked).await,
            Some(How::Deploy(kind)) => Err(DeployError::new(kind, "injected")),
            Some(How::Hangs) => {
                tokio::time::sleep(plan.timeout).await;
                Err(DeployError::new(DeployErrorKind::Timeout, "injected"))
            }
            Some(How::Lost) => self.inner.apply(plan, checked).await.and(Err(away())),
            Some(How::PanicsAfter) => {
                self.inner.apply(plan, checked).await.unwrap();
                breaks_down()
            }
            Some(How::Partly(k)) => {
                Ok(ChangeSet { error: Some(away()), ..self.partly(plan, checked, k).await? })
            }
            Some(How::Unexplained(k)) => self.partly(plan, checked, k).await,
            Some(How::Short(k)) => {
                let mut done = self.partly(plan, checked, k).await?;
                done.objects.retain(|outcome| outcome.action.is_acknowledged());
                Ok(done)
            }
            Some(_) => breaks_down(),
        }
    }
    fn follow(&self, query: FollowQuery) -> Option<BoxStream<'_, Result<RunChange, DeployError>>> {
        self.inner.follow(query)
    }
    async fn retire(&self, request: &Retire) -> Result<(), DeployError> {
        self.inner.retire(request).await
    }
}

impl Judged {
    /// Writes the first objects and fails at the next one.
    async fn partly(
        &self,
        plan: &Plan,
        checked: &Checked,
        k: usize,
    ) -> Result<ChangeSet, DeployError> {
        // A later attempt sends fewer.
        let k = k.min(plan.objects.len());
        let some = Plan { objects: plan.objects[..k].to_vec(), ..plan.clone() };
        let mut done = self.inner.apply(&some, checked).await?;
        for planned in &plan.objects[k..] {
            let action = if done.objects.len() == k { Action::Failed } else { Action::Skipped };
            let (object, run) = (planned.object.clone(), planned.is_run());
            done.objects.push(ObjectOutcome { object, run, action, reason: None });
        }
        Ok(done)
    }
}

impl Bench {
    /// What is sent has its Intent in the state, as a delivery that is at its apply.
    fn sent(&self, plan: &Plan) {
        self.judge.sent.fetch_add(1, Ordering::Relaxed);
        let open = self.state.snapshot().open;
        let kept = open.iter().find(|delivery| delivery.id == plan.delivery);
        let begun = |delivery: &&Delivery| {
            delivery.state == DeliveryState::Applying && delivery.intent.is_some()
        };
        if kept.filter(begun).is_none() {
            let state = kept.map(|delivery| delivery.state);
            let text = format!("{} is sent while the state says {state:?}", plan.delivery);
            self.judge.premature.lock().unwrap().push(text);
        }
    }

    /// Every cursor in these writes stands for a head whose objects are on the cluster now.
    fn look(&self, writes: &[Write]) {
        let created = self.cluster.created();
        for write in writes {
            let Write::Cursors(state) = write else { continue };
            let baseline = state.passed.as_ref().is_some_and(|p| p.reason == Reason::Baseline);
            let Some(sha) = state.settled().filter(|_| !baseline) else { continue };
            let runs = created.iter().filter(|run| commit_of(run) == sha.as_str()).count();
            if runs != RUNS || !self.cluster.names().contains(&"unit".to_owned()) {
                self.judge.premature.lock().unwrap().push(format!("{sha}: {runs} of {RUNS} runs"));
            }
        }
    }
}

/// A push while the fault is armed, another one after it ended; the failures there were, 0 once the `n`th call of its
/// kind was never made.
async fn life(fault: Fault) -> usize {
    fastrand::seed(2);
    let mut world = World::new(FakeDeployer::new());
    world.options.inbox_interval = Duration::from_secs(10);
    world.watches[0].timing.timeout = Duration::from_secs(60);
    let judge = Arc::new(Judge::default());
    let (cluster, state) = (Arc::clone(&world.deployer), Arc::clone(&world.store));
    let bench = Arc::new(Bench { judge: Arc::clone(&judge), cluster, state });
    let forge = ForgePorts::new(Hooked::new(&world.forge, &bench));
    let journal = Hooked::new(&world.store, &bench);
    let state = State { journal, ..Arc::clone(&world.store).into() };
    let deployer = Arc::new(Judged { inner: Arc::clone(&world.deployer), bench });
    world.start_on(forge, deployer, state);
    seconds(70).await;
    *judge.armed.lock().unwrap() = Some(fault);
    world.push();
    if fault.overtaken {
        seconds(1).await;
        world.push();
    }
    // Long enough for the agent to give up what it gives up.
    seconds(6 * 60).await;
    let failures = judge.failures.load(Ordering::Relaxed);
    *judge.armed.lock().unwrap() = None;
    let last = world.push();
    seconds(12 * 60).await;
    let premature = judge.premature.lock().unwrap().clone();
    assert!(premature.is_empty(), "{fault:?}: {premature:?}");
    assert!(judge.sent.load(Ordering::Relaxed) > 0, "{fault:?}: the judge saw nothing sent");
    let delivered = world.branch("main").await.unwrap().delivered.map(|mark| mark.sha);
    assert_eq!(delivered, Some(last), "{fault:?}: stuck");
    failures
}

#[tokio::test(start_paused = true)]
async fn whatever_call_fails_in_whatever_way_no_cursor_moves_before_the_work_is_done() {
    let (mut faults, mut failures) = (0, 0);
    for call in [Step::Heads, Step::Commit, Step::Tree, Step::Check, Step::Apply, Step::State] {
        let kinds = [(false, false), (false, true), (true, false)];
        let ways = ways(call).into_iter().flat_map(|how| kinds.map(|kind| (how, kind)));
        for (how, (lasts, overtaken)) in ways {
            // The agent's own beats go on for ever; a cycle's writes are the first ones.
            for n in 1..=12 {
                let seen = life(Fault { call, how, n, lasts, overtaken }).await;
                if seen == 0 {
                    break;
                }
                faults += 1;
                failures += seen;
                // Of what fails for ever the first call is enough: there is no second attempt that differs.
                if lasts && call != Step::State {
                    break;
                }
                if n >= 3 && call == Step::Heads {
                    break;
                }
            }
        }
    }
    assert!(faults >= 200, "{faults} faults");
    let seen = format!(
        "{faults} faults in calls of the forge, the cluster and the state, {failures} failed calls: 0 cursors before \
         their work, nothing sent before its Intent was kept, 0 watches stuck"
    );
    kept(2, "", &seen);
}
