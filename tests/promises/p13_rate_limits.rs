//! 13: a server that asks us to wait is not asked early, whatever it says and however it says it; nor later than after an
//! hour. What a person asks for meanwhile is kept at once, taken, and says what it waits for.

use std::collections::BTreeSet;
use std::time::Duration;

use sentry_core::delivery::{Trigger, TriggerState};
use sentry_core::secret::Secret;
use sentry_core::store::Inbox as _;
use sentry_forge::credential::Credential;
use sentry_tests::http::{Fault, Logged};
use sentry_tests::promise::{AtMost, cases, full, kept};
use sentry_tests::road::Road;
use sentry_tests::sandbox::eventually;
use tokio::time::Instant;

use crate::clients::{KINDS, Kind};
use crate::town::{Town, repositories};
use crate::world::seconds;

const REPOSITORIES: usize = 3;
const CAP: u64 = 3600;
/// Requests that were under way together come within this time.
const TOGETHER: Duration = Duration::from_secs(3);
/// How much later than allowed the next request may come: jitter, and small steps.
const LATE: Duration = Duration::from_secs(10);
/// How long the program may take to keep a trigger.
const ANSWERED: AtMost = AtMost::seconds(1.0);
/// A trigger is looked for every second.
const TAKEN: Duration = Duration::from_millis(1_500);

/// The wait that an answer asks for, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wait {
    Of(u64),
    /// It names none: a minute, then twice that, up to the cap.
    Unnamed,
}

impl Wait {
    /// After so many limits in a row.
    fn after(self, limits: usize) -> Duration {
        Duration::from_secs(match self {
            Self::Of(seconds) => seconds,
            Self::Unnamed => (60u64 << limits.min(10)).min(CAP),
        })
    }

    /// How many limits come in a row.
    fn limits(self) -> usize {
        match self {
            Self::Of(_) => cases(3, 2),
            Self::Unnamed => cases(8, 3),
        }
    }
}

/// An answer that asks for patience.
#[derive(Debug, Clone, Copy)]
struct Limit {
    name: &'static str,
    status: u16,
    headers: &'static [(&'static str, &'static str)],
    text: &'static str,
    wait: Wait,
}

const fn limit(
    name: &'static str,
    status: u16,
    headers: &'static [(&'static str, &'static str)],
    wait: Wait,
) -> Limit {
    Limit { name, status, headers, text: r#"{"message":"slow down"}"#, wait }
}

/// 1,800,000,000 s after the epoch.
const NOW: (&str, &str) = ("date", "Fri, 15 Jan 2027 08:00:00 GMT");
const USED_UP: (&str, &str) = ("x-ratelimit-remaining", "0");

const LIMITS: &[Limit] = &[
    limit("429, seconds", 429, &[("retry-after", "120")], Wait::Of(120)),
    limit("429, nothing", 429, &[], Wait::Unnamed),
    limit("429, huge", 429, &[("retry-after", "999999999")], Wait::Of(CAP)),
    limit(
        "GitHub's primary limit",
        403,
        &[NOW, USED_UP, ("x-ratelimit-limit", "5000"), ("x-ratelimit-reset", "1800000600")],
        Wait::Of(600),
    ),
    limit(
        "429, a date",
        429,
        &[NOW, ("retry-after", "Fri, 15 Jan 2027 08:05:00 GMT")],
        Wait::Of(300),
    ),
    limit("429, negative", 429, &[("retry-after", "-5")], Wait::Unnamed),
    limit(
        "429, beyond numbers",
        429,
        &[("retry-after", "99999999999999999999999999")],
        Wait::Of(CAP),
    ),
    limit("429, nonsense", 429, &[("retry-after", "soon")], Wait::Unnamed),
    limit(
        "429, a past date",
        429,
        &[NOW, ("retry-after", "Fri, 15 Jan 2010 08:00:00 GMT")],
        Wait::Unnamed,
    ),
    limit("403, seconds", 403, &[("retry-after", "90")], Wait::Of(90)),
    limit("403, negative", 403, &[("retry-after", "-1")], Wait::Unnamed),
    limit(
        "GitHub's primary limit, reset in years",
        403,
        &[NOW, USED_UP, ("x-ratelimit-reset", "1900000000")],
        Wait::Of(CAP),
    ),
    Limit {
        name: "GitHub's secondary limit, without a time",
        status: 403,
        headers: &[],
        text: r#"{"message":"You have exceeded a secondary rate limit. Please wait a few minutes before you try again."}"#,
        wait: Wait::Unnamed,
    },
    limit(
        "GitLab's limit",
        429,
        &[NOW, ("ratelimit-remaining", "0"), ("ratelimit-reset", "1800000400")],
        Wait::Of(400),
    ),
];

impl Limit {
    fn fault(&self) -> Fault {
        let fault = Fault::status(self.status).body(self.text);
        self.headers.iter().fold(fault, |fault, (name, value)| fault.header(name, value))
    }
}

/// Requests, those together that were under way together.
fn rounds(asked: &[Logged]) -> Vec<Vec<&Logged>> {
    let mut rounds: Vec<Vec<&Logged>> = Vec::new();
    for one in asked {
        match rounds.last_mut().filter(|round| one.at - round[0].at <= TOGETHER) {
            Some(round) => round.push(one),
            None => rounds.push(vec![one]),
        }
    }
    rounds
}

#[derive(Debug, Default)]
struct Seen {
    limits: usize,
    longest: Duration,
    latest: Duration,
    taken: Duration,
}

async fn meet(kind: Kind, limit: &Limit, seen: &mut Seen) {
    fastrand::seed(13);
    let what = format!("{kind:?}: {}", limit.name);
    let mut town = Town::new(kind, &repositories(REPOSITORIES)).await;
    town.start(Credential::Token(Secret::new("a-token-51d0").into()));
    seconds(150).await;
    town.forges.http.log().clear();
    town.forges.http.faults().until_cleared("", limit.fault());
    while town.asked().is_empty() {
        seconds(1).await;
    }
    let begun = Instant::now();
    seen.taken = seen.taken.max(ask_by_hand(&town, kind, &what).await);
    let limits = limit.wait.limits();
    let all: Duration = (0..limits).map(|n| limit.wait.after(n) + LATE).sum();
    tokio::time::sleep_until(begun + all).await;
    // The server is well again; whether we are is seen when the last wait is over.
    town.forges.http.faults().clear();
    tokio::time::sleep(limit.wait.after(limits) + LATE).await;
    let asked = town.asked();
    let rounds = rounds(&asked);
    for (n, pair) in rounds.windows(2).enumerate().take(limits + 1) {
        let (wanted, gap) = (limit.wait.after(n), pair[1][0].at - pair[0][0].at);
        assert!(gap >= wanted, "{what}: asked again after {gap:?} instead of {wanted:?}");
        assert!(gap <= wanted + LATE, "{what}: asked again only after {gap:?}, not {wanted:?}");
        let paths: BTreeSet<_> = pair[0].iter().map(|asked| &asked.path).collect();
        assert_eq!(paths.len(), pair[0].len(), "{what}: something was asked twice");
        seen.longest = seen.longest.max(gap);
        seen.latest = seen.latest.max(gap - wanted);
        seen.limits += 1;
    }
    assert!(rounds.len() > limits + 1, "{what}: {} rounds", rounds.len());
    assert!(asked.last().unwrap().status < Some(400), "{what}: it is not asked again");
    delivered(&town, &what).await;
}

/// Asks for a delivery while the server is not asked; how long it took until the agent had taken the request.
async fn ask_by_hand(town: &Town, kind: Kind, what: &str) -> Duration {
    let begun = Instant::now();
    let trigger = town.world.ask("main", "by hand").await;
    let state =
        async || town.world.store.trigger(&trigger.id).await.unwrap().map(|t: Trigger| t.state);
    let delivery = loop {
        if let Some(TriggerState::Taken(delivery)) = state().await {
            break delivery;
        }
        assert!(begun.elapsed() <= TAKEN, "{what}: nobody takes the trigger");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let taken = begun.elapsed();
    seconds(3).await;
    // A git server's limit holds nothing up here: the fake forge tells its commits.
    if kind != Kind::Git {
        let all = town.world.deliveries().await;
        let delivery = all.into_iter().find(|one| one.id == delivery).unwrap();
        let waits_for = delivery.error.clone().unwrap_or_default();
        assert!(waits_for.contains(": rate limited; "), "{what}: {waits_for}");
        assert!(delivery.next_attempt.is_some(), "{what}: {delivery:?}");
    }
    taken
}

/// What was requested by hand arrives as soon as the server lets it.
async fn delivered(town: &Town, what: &str) {
    let begun = Instant::now();
    while town.world.deployer.created().is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(CAP + 300), "{what}: never delivered");
        seconds(5).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_asks_for_patience_is_not_asked_early_and_a_trigger_is_kept_meanwhile() {
    let mut seen = Seen::default();
    for (n, kind) in KINDS.into_iter().enumerate() {
        for (m, limit) in LIMITS.iter().enumerate() {
            // In a small run each limit once.
            if full() || m % KINDS.len() == n {
                meet(kind, limit, &mut seen).await;
            }
        }
    }
    let Seen { limits, longest, latest, taken } = seen;
    let figure = format!(
        "{limits} limits of GitHub's and GitLab's APIs and of git servers, in {} forms: 0 early requests, none more than \
         {:.1} s late, the longest wait {:.0} s; a trigger was taken within {:.1} s",
        LIMITS.len(),
        latest.as_secs_f64(),
        longest.as_secs_f64(),
        taken.as_secs_f64(),
    );
    kept(13, "limits", &figure);
}

/// The program itself, over a git server that asks for an hour.
#[test]
fn a_trigger_that_is_left_while_the_server_asks_for_an_hour_is_kept_at_once_and_says_what_it_waits_for()
 {
    let road = Road::new();
    let mut agent = road.watch();
    agent.wait_for_log("baseline");
    road.git.http().faults().until_cleared("", Fault::status(429).retry_after("3600"));
    agent.wait_for_log("forge does not answer");
    let asked = road.git.http().log().requests();
    let begun = std::time::Instant::now();
    let left = road.sandbox.sentry(["trigger", "qa", "--branch", "main", "--no-wait"]);
    let took = begun.elapsed();
    assert_eq!(left.code, Some(0), "{left:?}");
    ANSWERED.hold_time("`sentry trigger`", took);
    let state = || road.json(&["history", "-o", "json"]);
    eventually("the agent takes it", || !state()["deliveries"].as_array().unwrap().is_empty());
    // Who waits for the delivery is told what it waits for.
    let mut waits = road.sandbox.spawn(["trigger", "qa", "--branch", "main"]);
    waits.wait_for_log(": rate limited; ");
    let status = road.sandbox.sentry(["status"]).stdout;
    assert!(status.contains(": rate limited; "), "{status}");
    assert_eq!(road.git.http().log().requests(), asked, "nothing is asked early for it");
    drop(waits);
    assert_eq!(agent.term().code, Some(0));
    let seen = format!(
        "`sentry trigger` was kept within {} after it was called, and 0 requests came of it",
        ANSWERED.told_time(took)
    );
    kept(13, "by hand", &seen);
}
