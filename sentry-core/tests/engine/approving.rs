//! Heads of forks: nothing starts before somebody approves exactly what it is made of, and then it starts once.

use std::collections::BTreeSet;

use sentry_core::approval::Approval;
use sentry_core::forge::StatusState;
use sentry_core::pull::{Forks, PullRequest, PullSelector};
use sentry_core::watch::BranchSelector;

use super::*;

const PULL: &str = "refs/pull/12";
const PULL_RUN: &str = "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata:\n  name: pull\n  annotations:\n    \
     pipelinesascode.tekton.dev/on-event: pull_request\n    pipelinesascode.tekton.dev/on-target-branch: '*'\nspec: {}\n";

/// Baselined, and running: pull requests are watched, and what those of forks may start is this.
async fn world(forks: Forks) -> World {
    let mut world = World::new();
    world.forge.commit(B, "main", "tests", &[RUN, ("pull.yaml", PULL_RUN)]);
    world.watch.source.subjects = BranchSelector::new(["main", "topic"]).unwrap().into();
    world.watch.source.subjects.pulls = Some(PullSelector { forks, ..PullSelector::default() });
    world.start();
    minutes(1).await;
    world
}

fn strange(head: &CommitSha, base: &str) -> PullRequest {
    let target_branch = sample::parse(base);
    PullRequest { head: head.clone(), is_fork: true, target_branch, ..sample::pull(12) }
}

impl World {
    /// A commit of a fork, in a branch that A has not.
    fn stranger_pushes(&self, base: &str) -> CommitSha {
        let head = self.forge.commit("https://example.com/ada/app", "topic", "work", &[]);
        self.forge.pull(A, strange(&head, base));
        head
    }

    /// How many runs were made of a commit.
    fn made_of(&self, sha: &CommitSha) -> usize {
        let of = |run: &&PlannedObject| {
            run.json["metadata"]["annotations"]["sentry-gitops.dev/revision"] == sha.as_str()
        };
        self.deployer.created().iter().filter(of).count()
    }

    async fn approve(&self, sha: &CommitSha, base: &str) -> TriggerState {
        let base = sample::parse(base);
        let kind = TriggerKind::Approve { number: 12.into(), sha: sha.clone(), base };
        let mut trigger = self.trigger(&format!("key-{}", fastrand::u128(..)), kind);
        trigger.by = Some("ops".to_owned());
        let id = self.store.request(&trigger).await.unwrap().id;
        minutes(3).await;
        self.trigger_state(&id).await
    }

    fn said_of(&self, sha: &CommitSha) -> Vec<(String, StatusState, String)> {
        let of = |s: &sentry_core::forge::CommitStatus| s.revision.sha == *sha;
        let all = self.forge.statuses().into_iter().filter(of);
        all.map(|s| (s.context, s.state, s.description)).collect()
    }
}

fn why(state: TriggerState) -> String {
    match state {
        TriggerState::Rejected(why) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_of_a_fork_starts_nothing_until_it_is_approved_and_then_what_is_for_it_once() {
    let mut world = world(Forks::Approve).await;
    let head = world.stranger_pushes("main");
    minutes(5).await;
    assert_eq!(world.made_of(&head), 0);
    assert_eq!(world.why(&head).await.reason, Reason::WaitsForApproval);
    assert!(world.branch(PULL).await.unwrap().waits_for_approval());
    let waits =
        ("sentry-gitops/qa".to_owned(), StatusState::Pending, "waits for approval".to_owned());
    assert_eq!(world.said_of(&head), [waits]);
    // It is as durable as the cursor.
    world.kill().await;
    world.start();
    minutes(5).await;
    assert_eq!(world.made_of(&head), 0);
    let TriggerState::Taken(delivery) = world.approve(&head, "main").await else {
        panic!("it was not taken")
    };
    assert_eq!(world.made_of(&head), 1);
    let all = world.deliveries().await;
    let made = all.iter().find(|it| it.id == delivery).unwrap();
    assert_eq!((&made.revision.sha, made.asked.by.as_deref()), (&head, Some("ops")));
    let Some(Approval::Given(given)) = world.branch(PULL).await.unwrap().approval.map(|it| *it)
    else {
        panic!("it is not kept")
    };
    assert_eq!(
        (given.head, given.by.as_deref(), given.delivery),
        (head.clone(), Some("ops"), delivery.clone())
    );
    assert!(world.said_of(&head).iter().all(|(name, ..)| name == "sentry-gitops/qa"));
    // Another approval of the same is the same.
    assert_eq!(world.approve(&head, "main").await, TriggerState::Taken(delivery));
    world.kill().await;
    world.start();
    minutes(5).await;
    assert_eq!(world.made_of(&head), 1);
    assert_eq!(world.deliveries().await.len(), all.len());
}

#[tokio::test(start_paused = true)]
async fn an_approval_is_for_one_head_into_one_branch_and_over_with_either() {
    for kills in [false, true] {
        let mut world = world(Forks::Approve).await;
        let head = world.stranger_pushes("main");
        minutes(2).await;
        world.approve(&head, "main").await;
        assert_eq!(world.made_of(&head), 1);
        let next = world.stranger_pushes("main");
        minutes(2).await;
        if kills {
            world.kill().await;
            world.start();
            minutes(2).await;
        }
        assert_eq!(world.made_of(&next), 0, "a later push");
        world.forge.pull(A, strange(&next, "release/1"));
        minutes(2).await;
        let rejected = why(world.approve(&next, "main").await);
        assert!(rejected.contains("is to be merged into release/1, not into main"), "{rejected}");
        world.approve(&next, "release/1").await;
        assert_eq!(world.made_of(&next), 1);
        world.forge.pull(A, strange(&next, "main"));
        minutes(2).await;
        assert_eq!(world.made_of(&next), 1, "another base");
        let said = world.said_of(&next);
        assert!(said.iter().all(|it| it.0 == "sentry-gitops/qa"), "one line: {said:?}");
        assert_eq!(said.last().unwrap().2, "waits for approval");
        // Back to what was approved once: that is over.
        world.forge.pull(A, strange(&head, "main"));
        minutes(2).await;
        assert!(world.branch(PULL).await.unwrap().waits_for_approval());
        assert_eq!(world.made_of(&head), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn what_moves_between_the_look_and_the_approval_is_not_approved() {
    let world = world(Forks::Approve).await;
    let head = world.stranger_pushes("main");
    minutes(2).await;
    // The request comes at the same moment as the push that the agent has not seen yet: what runs is what was approved.
    let next = world.stranger_pushes("main");
    let state = world.approve(&head, "main").await;
    assert_eq!(world.made_of(&next), 0, "{state:?}");
    assert!(world.branch(PULL).await.unwrap().waits_for_approval());
    minutes(2).await;
    let rejected = why(world.approve(&head, "main").await);
    assert!(rejected.contains(next.as_str()) && rejected.contains("look at it"), "{rejected}");
    assert_eq!(world.made_of(&next), 0);
}

#[tokio::test(start_paused = true)]
async fn closed_and_opened_again_as_it_was_it_stays_approved_and_runs_once() {
    let world = world(Forks::Approve).await;
    let head = world.stranger_pushes("main");
    minutes(2).await;
    world.forge.close_pull(A, 12);
    minutes(2).await;
    let gone = why(world.approve(&head, "main").await);
    assert!(gone.contains("is closed"), "{gone}");
    let last = world.said_of(&head).pop().unwrap();
    assert_eq!(last.1, StatusState::Neutral, "{last:?}");
    world.forge.pull(A, strange(&head, "main"));
    minutes(2).await;
    assert_eq!(world.made_of(&head), 0, "nobody approved it before");
    world.approve(&head, "main").await;
    for _ in 0..2 {
        world.forge.close_pull(A, 12);
        minutes(2).await;
        world.forge.pull(A, strange(&head, "main"));
        minutes(2).await;
        assert_eq!(world.made_of(&head), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_waited_for_is_rejected_by_name() {
    let world = world(Forks::Approve).await;
    let own = world.forge.commit(A, "feature", "work", &[]);
    let unknown = why(world.approve(&own, "main").await);
    assert!(unknown.contains("pull request 12 of watch qa was not seen"), "{unknown}");
    world.forge.pull(A, PullRequest { head: own.clone(), ..sample::pull(12) });
    minutes(2).await;
    let needless = why(world.approve(&own, "main").await);
    assert!(needless.contains("needs no approval"), "{needless}");
}

#[tokio::test(start_paused = true)]
async fn no_other_request_starts_what_was_not_approved() {
    let world = world(Forks::Approve).await;
    let head = world.stranger_pushes("main");
    minutes(2).await;
    let deliver = |subject: &str, sha: Option<&CommitSha>| TriggerKind::Deliver {
        subject: sentry_core::subject::Subject::named(subject).unwrap(),
        sha: sha.cloned(),
        selection: Selection::default(),
    };
    let refused = [
        deliver(PULL, None),
        deliver(PULL, Some(&head)),
        deliver("main", Some(&head)),
        deliver("refs/pull/99", Some(&head)),
    ];
    for kind in refused {
        let id = world.ask(kind.clone()).await;
        minutes(3).await;
        let text = why(world.trigger_state(&id).await);
        assert!(!text.is_empty(), "{kind:?}");
        assert_eq!(world.made_of(&head), 0, "{kind:?}: {text}");
    }
    world.approve(&head, "main").await;
    let approved = world.deliveries().await.remove(0);
    assert_eq!(approved.revision.sha, head);
    let rerun = |delivery| TriggerKind::Rerun { delivery, failed_only: false };
    world.ask(rerun(approved.id.clone())).await;
    minutes(3).await;
    assert_eq!(world.made_of(&head), 2, "as long as the approval stands");
    let next = world.stranger_pushes("main");
    minutes(2).await;
    let id = world.ask(rerun(approved.id)).await;
    minutes(3).await;
    let text = why(world.trigger_state(&id).await);
    assert!(text.contains("is not its head"), "{text}");
    assert_eq!((world.made_of(&head), world.made_of(&next)), (2, 0));
}

/// A fork's branch may have a name and a commit of A's.
#[tokio::test(start_paused = true)]
async fn a_stranger_holds_no_push_and_no_status_of_a_up() {
    for (branch, is_pushed, is_seen) in
        [("topic", true, false), ("topic", true, true), ("main", false, true)]
    {
        let world = world(Forks::Approve).await;
        let head = if is_pushed {
            world.forge.commit(A, branch, "work", &[])
        } else {
            world.branch(branch).await.unwrap().observed.sha
        };
        if is_seen {
            minutes(3).await;
        }
        let source_branch = sample::parse(branch);
        world.forge.pull(A, PullRequest { source_branch, ..strange(&head, "release/1") });
        minutes(3).await;
        assert_eq!(world.made_of(&head), usize::from(is_pushed), "{branch}: a push runs");
        let said = world.said_of(&head);
        let of_the_watch = said.iter().rfind(|it| it.0 == "sentry-gitops/qa");
        let waits = |it: &(String, StatusState, String)| it.2 == "waits for approval";
        assert!(!of_the_watch.is_some_and(waits), "{branch}: {said:?}");
        let own = said.iter().rfind(|it| it.0 == "sentry-gitops/qa (pull request 12)");
        assert!(!is_seen || own.is_some_and(waits), "{branch}: {said:?}");
        let kind = TriggerKind::Deliver {
            subject: sample::subject(branch),
            sha: Some(head.clone()),
            selection: Selection::default(),
        };
        let trigger = world.ask(kind).await;
        minutes(3).await;
        let state = world.trigger_state(&trigger).await;
        assert!(matches!(state, TriggerState::Taken(_)), "{branch}: {state:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_is_open_at_first_sight_can_be_approved_and_two_watches_each_decide() {
    let mut world = World::new();
    world.forge.commit(B, "main", "tests", &[("pull.yaml", PULL_RUN)]);
    let head = world.stranger_pushes("main");
    world.watch.source.subjects.pulls = Some(PullSelector::default());
    let mut other = world.watch.clone();
    other.name = sample::parse("other");
    let (engine, stop) = (world.builder().watch(other).build().unwrap(), world.stop.clone());
    world.agent.spawn(async move { engine.run(&stop).await });
    minutes(3).await;
    assert_eq!(world.made_of(&head), 0);
    assert_eq!(world.why(&head).await.reason, Reason::Baseline);
    world.approve(&head, "main").await;
    assert_eq!(world.made_of(&head), 1);
    let made: Vec<_> = world.deliveries().await.into_iter().map(|it| it.watch).collect();
    assert_eq!(made, [world.watch.name.clone()]);
}

#[tokio::test(start_paused = true)]
async fn another_configuration_decides_anew_about_what_is_known() {
    for (before, after, runs) in [
        (Forks::Approve, Forks::Run, 1),
        (Forks::Approve, Forks::Never, 0),
        (Forks::Never, Forks::Approve, 0),
        (Forks::Never, Forks::Run, 0),
        (Forks::Run, Forks::Run, 1),
    ] {
        let mut world = world(before).await;
        let head = world.stranger_pushes("main");
        minutes(2).await;
        world.kill().await;
        world.watch.source.subjects.pulls =
            Some(PullSelector { forks: after, ..PullSelector::default() });
        // A pull request of A itself that comes while nobody looks is no baseline.
        let own = world.forge.commit(A, "feature", "work", &[]);
        let number = 13.into();
        world.forge.pull(A, PullRequest { head: own.clone(), number, ..sample::pull(12) });
        world.start();
        minutes(3).await;
        assert_eq!(world.made_of(&head), runs, "{before:?} {after:?}");
        assert_eq!(world.made_of(&own), 1, "{before:?} {after:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_suspended_watch_keeps_an_approval_until_it_is_resumed() {
    let world = world(Forks::Approve).await;
    let head = world.stranger_pushes("main");
    minutes(2).await;
    world.suspend().await;
    minutes(1).await;
    assert!(matches!(world.approve(&head, "main").await, TriggerState::Taken(_)));
    assert_eq!(world.made_of(&head), 0);
    let (at, by) = (sentry_core::clock::Clock::now(world.clock.as_ref()), None);
    let watch = world.watch.name.clone();
    world
        .store
        .hold(&Hold::Resume(sentry_core::store::Resumption { watch, at, by }))
        .await
        .unwrap();
    minutes(2).await;
    assert_eq!(world.made_of(&head), 1);
}

const BASES: [&str; 2] = ["main", "release/1"];

/// A world, and what there is in it.
struct Story {
    world: World,
    heads: Vec<CommitSha>,
    base: &'static str,
    is_open: bool,
    /// What was approved while it stood.
    approved: BTreeSet<(CommitSha, &'static str)>,
    kills: usize,
}

impl Story {
    async fn begin() -> Self {
        let world = world(Forks::Approve).await;
        let heads = vec![world.stranger_pushes(BASES[0])];
        minutes(2).await;
        let (base, approved) = (BASES[0], BTreeSet::new());
        Self { world, heads, base, is_open: true, approved, kills: 0 }
    }

    async fn kill(&mut self) {
        self.kills += 1;
        self.world.kill().await;
        self.world.start();
    }

    /// Approves something that there is or was; whether that was what there is, and what became of it.
    async fn approve(&mut self, random: &mut fastrand::Rng) -> (bool, TriggerState) {
        let (sha, into) = if random.bool() {
            (self.heads.last().unwrap().clone(), self.base)
        } else {
            (random.choice(&self.heads).unwrap().clone(), random.choice(BASES).unwrap())
        };
        let is_right = self.is_open && (self.heads.last(), self.base) == (Some(&sha), into);
        let (number, base) = (12.into(), sample::parse(into));
        let id = self.world.ask(TriggerKind::Approve { number, sha: sha.clone(), base }).await;
        if random.bool() {
            self.kill().await;
        }
        minutes(3).await;
        if is_right {
            self.approved.insert((sha, into));
        }
        (is_right, self.world.trigger_state(&id).await)
    }

    async fn goes_on(&mut self, random: &mut fastrand::Rng, what: &str) {
        let head = self.heads.last().unwrap().clone();
        match random.u8(0..8) {
            0 => {
                self.heads.push(self.world.stranger_pushes(self.base));
                self.is_open = true;
            }
            1 if self.is_open => {
                self.base = random.choice(BASES).unwrap();
                self.world.forge.pull(A, strange(&head, self.base));
            }
            2 => {
                self.world.forge.close_pull(A, 12);
                self.is_open = false;
            }
            3 => {
                self.world.forge.pull(A, strange(&head, self.base));
                self.is_open = true;
            }
            4 => self.kill().await,
            _ => {
                let (is_right, state) = self.approve(random).await;
                let is_taken = matches!(state, TriggerState::Taken(_));
                assert_eq!(is_taken, is_right, "{what}: {state:?}");
            }
        }
    }
}

/// Pushes, other targets, closings, approvals of what there is and of what was there, and kills, in any order.
#[tokio::test(start_paused = true)]
async fn in_any_story_what_was_approved_while_it_stood_runs_once_and_nothing_else_does() {
    let (mut approvals, mut kills) = (0, 0);
    for seed in 0..40 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut story = Story::begin().await;
        for step in 0..14 {
            let what = format!("story {seed}, step {step}");
            story.goes_on(&mut random, &what).await;
            minutes(2).await;
            for head in &story.heads {
                let approved = story.approved.iter().filter(|(of, _)| of == head).count();
                assert_eq!(story.world.made_of(head), approved, "{what}: {head}");
            }
        }
        (approvals, kills) = (approvals + story.approved.len(), kills + story.kills);
    }
    assert!(approvals > 40 && kills > 100, "{approvals} approvals, {kills} kills");
}
