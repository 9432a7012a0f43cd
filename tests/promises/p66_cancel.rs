//! 66: what somebody cancels ends. At every call of a delivery, over kills, with the cluster away: nothing more of it is
//! started, what the cluster made is cancelled, and the commit says so once.

use std::sync::Arc;
use std::time::Duration;

use sentry_core::delivery::{
    Cause, Delivery, DeliveryState, ReasonKind, RunState, Trigger, TriggerKind, TriggerState,
};
use sentry_core::forge::{CommitStatus, StatusState};
use sentry_core::ids::TriggerId;
use sentry_core::repo::CommitSha;
use sentry_core::store::{Archive as _, Inbox as _};
use sentry_core::testing::fakes::FakeDeployer;
use sentry_core::testing::fate::Fate;
use sentry_core::watch::ReportDetail;
use sentry_tests::promise::{cases, kept};

use crate::mortal::{Mortal, PAUSE};
use crate::world::{World, commit_of, seconds};

/// How long the cluster is away, in seconds.
const AWAY: u64 = 180;

struct Story {
    world: World,
    sha: CommitSha,
    asked: Option<TriggerId>,
}

impl Story {
    /// A commit is pushed, and its delivery cancelled at the call that takes its time; `None` if that never comes.
    async fn begin(fate: &Arc<Fate>, away: bool) -> Option<Self> {
        let deployer = FakeDeployer::new().following();
        let mut world = World::new(deployer).polled_every(Duration::from_secs(20));
        // Cancelled before it is known who may read A, the commit would not say by whom.
        world.watches[0].reporting.detail = Some(ReportDetail::Reasons);
        world.options.inbox_interval = Duration::from_secs(1);
        world.start();
        seconds(5).await;
        world.kill().await;
        let sha = world.push();
        Mortal::start(&mut world, fate);
        let mut story = Self { world, sha, asked: None };
        for _ in 0..300 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            if story.asked.is_none() && fate.has_paused() {
                story.cancel().await;
                story.world.deployer.down(away && story.asked.is_some());
            }
        }
        fate.has_paused().then_some(story)
    }

    /// Leaves the request, as `sentry cancel` does, once there is a delivery.
    async fn cancel(&mut self) {
        let mine = self.mine().await;
        let Some(delivery) = mine.first() else { return };
        let at = self.world.clock.now();
        let trigger = Trigger {
            id: TriggerId::new(at, fastrand::u128(..)),
            key: "cancel".into(),
            watch: delivery.watch.clone(),
            kind: TriggerKind::Cancel(delivery.id.clone()),
            cause: Cause::Manual,
            by: Some("ops".into()),
            at,
            state: TriggerState::Pending,
        };
        self.asked = Some(self.world.store.request(&trigger).await.unwrap().id);
    }

    async fn mine(&self) -> Vec<Delivery> {
        let all = self.world.deliveries().await.into_iter();
        all.filter(|delivery| delivery.revision.sha == self.sha).collect()
    }

    /// The names of the runs that the cluster made for the commit.
    fn made(&self) -> Vec<String> {
        let created = self.world.deployer.created();
        let mine = created.iter().filter(|run| commit_of(run) == self.sha.as_str());
        mine.map(|run| run.object.name.clone()).collect()
    }

    /// The agent dies if that is its fate, and another one comes; the cluster comes back. What must not start does not.
    async fn goes_on(&mut self, killed: bool) {
        if killed {
            self.world.kill().await;
            if self.asked.is_none() {
                self.cancel().await;
            }
            let (was_asked, made) = (self.asked.is_some(), self.made());
            self.world.start();
            for _ in 0..AWAY {
                seconds(1).await;
                // It had died before there was a delivery.
                if self.asked.is_none() {
                    self.cancel().await;
                }
            }
            assert!(!was_asked || self.made() == made, "a run was made after the cancel");
        }
        self.world.deployer.down(false);
        seconds(900).await;
    }

    /// The delivery is cancelled, no run goes on, and the commit says so once; whether runs had been made.
    async fn judge(&self, at: &str, killed: bool) -> bool {
        let mine = self.mine().await;
        let [delivery] = mine.as_slice() else { panic!("{at}: {} deliveries", mine.len()) };
        let made = self.made();
        let by = delivery.cancelled.as_ref().and_then(|cancelled| cancelled.by.as_deref());
        assert_eq!((delivery.state, by), (DeliveryState::Cancelled, Some("ops")), "{at}");
        assert_eq!(self.world.deployer.active_runs(), [""; 0], "{at}");
        let cancelled = |run: &String| {
            let kept = delivery.runs.iter().find(|kept| kept.object.name == *run);
            kept.is_some_and(|kept| kept.state == RunState::Cancelled)
        };
        assert!(made.iter().all(cancelled), "{at}: made {made:?}, kept {:?}", delivery.runs);
        let trigger = self.world.store.trigger(self.asked.as_ref().unwrap()).await.unwrap();
        assert_eq!(trigger.unwrap().state, TriggerState::Taken(delivery.id.clone()), "{at}");
        let why = self.world.store.heads(self.sha.as_str()).await.unwrap();
        assert_eq!(why[0].reason.kind(), ReasonKind::Cancelled, "{at}");
        let shown = self.world.forge.statuses().into_iter();
        let of = |s: &CommitStatus| s.revision.sha == self.sha && s.context == "sentry-gitops/qa";
        let shown: Vec<_> = shown.filter(of).map(|s| (s.state, s.description)).collect();
        let told = shown.iter().filter(|(state, _)| *state == StatusState::Cancelled).count();
        assert!(
            shown.last().is_some_and(|(_, text)| text.starts_with("cancelled by ops")),
            "{at}: {shown:?}"
        );
        // Killed after a status is set and before that is written, it is set once more.
        assert!(told == 1 || killed && told == 2, "{at}: {shown:?}");
        !made.is_empty()
    }
}

/// Plays one story; whether runs had been made, `None` if its moment never came.
async fn play(pause: usize, after: Option<usize>, away: bool) -> Option<bool> {
    let fatal = after.map_or(usize::MAX, |after| pause + after);
    let fate = Fate::pausing_at(pause, PAUSE, fatal);
    let mut story = Story::begin(&fate, away).await?;
    let killed = after.is_some();
    story.goes_on(killed).await;
    let at = format!("cancelled at call {pause}, killed at {fatal}, cluster away: {away}");
    Some(story.judge(&at, killed).await)
}

#[tokio::test(start_paused = true)]
async fn cancelled_at_each_call_of_a_delivery_over_kills_with_the_cluster_away_nothing_goes_on() {
    let deaths: Vec<Option<usize>> = std::iter::once(None).chain((0..12).map(Some)).collect();
    let (mut stories, mut with_runs) = (0, 0);
    for death in deaths.iter().copied().step_by(cases(1, 7)) {
        for away in [false, true] {
            for pause in (1..).step_by(cases(1, 3)) {
                match play(pause, death, away).await {
                    Some(made) => {
                        (stories, with_runs) = (stories + 1, with_runs + usize::from(made))
                    }
                    None => break,
                }
            }
        }
    }
    assert!(stories >= 30 && with_runs > 10, "{stories}, {with_runs}");
    let seen = format!(
        "{stories} cancels, one at each call of a delivery, alive and killed at one of the next calls, the cluster there and \
         away for {AWAY} s: each delivery cancelled, told by whom, 0 runs left of {with_runs} deliveries that had some"
    );
    kept(66, "the engine", &seen);
}
