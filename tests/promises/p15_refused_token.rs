//! 15: a token that is refused for hours is tried ten times an hour at its host, however many watches use it; a rotated one
//! is used within one poll.

use std::time::Duration;

use sentry_core::secret::SecretSource;
use sentry_forge::credential::Credential;
use sentry_tests::promise::{full, kept};
use tempfile::TempDir;
use tokio::time::Instant;

use crate::clients::{KINDS, Kind};
use crate::town::{Town, repositories};
use crate::world::seconds;

const WATCHES: usize = 50;
const HOUR: Duration = Duration::from_secs(3600);
/// The refusals that an hour may have.
const MOST: usize = 10;
/// One poll, its spread, and what the requests of all watches take.
const POLL: Duration = Duration::from_secs(68);

/// When the token is refused first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Begin {
    Start,
    /// All was well before.
    Later,
}

#[derive(Debug, Clone, Copy)]
struct Case {
    kind: Kind,
    status: u16,
    begin: Begin,
    hours: u32,
}

/// Every way to ask, to be refused and to begin; in a small run each once.
fn all_cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (n, kind) in KINDS.into_iter().enumerate() {
        for (m, (status, begin)) in
            [(401, Begin::Later), (403, Begin::Later), (401, Begin::Start), (403, Begin::Start)]
                .into_iter()
                .enumerate()
        {
            if full() || n == m {
                let hours = if full() { 4 } else { 1 };
                cases.push(Case { kind, status, begin, hours });
            }
        }
    }
    cases
}

/// What one case came to.
struct Seen {
    /// The most refusals of any hour.
    most: usize,
    /// How long after the rotation the last repository was answered.
    recovered: Duration,
}

async fn refuse(case: Case) -> Seen {
    fastrand::seed(15);
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("token");
    std::fs::write(&file, "old-token-1f9c\n").unwrap();
    let mut town = Town::new(case.kind, &repositories(WATCHES)).await;
    if case.begin == Begin::Later {
        town.forges.admit_only("old-token-1f9c", case.status);
        town.start(Credential::Token(SecretSource::File(file.clone())));
        seconds(200).await;
        assert!(town.asked().iter().all(|asked| asked.status < Some(400)), "{case:?}");
        town.forges.admit_only("new-token-77e2", case.status);
        // A delivery that the refused token holds up.
        town.world.ask("main", "by hand").await;
    } else {
        town.forges.admit_only("new-token-77e2", case.status);
        town.start(Credential::Token(SecretSource::File(file.clone())));
    }
    tokio::time::sleep(HOUR * case.hours + HOUR / 6).await;
    let asked = town.asked();
    let refused = asked.iter().filter(|asked| asked.status == Some(case.status));
    let refused: Vec<Instant> = refused.map(|asked| asked.at).collect();
    let within =
        |from: &Instant| refused.iter().filter(|at| **at >= *from && **at - *from < HOUR).count();
    let most = refused.iter().map(within).max().unwrap_or(0);
    assert!((1..=MOST).contains(&most), "{case:?}: {most} refusals in an hour");
    town.forges.http.log().clear();
    std::fs::write(&file, "new-token-77e2\n").unwrap();
    let recovered = recovery(&town, case).await;
    Seen { most, recovered }
}

/// How long it takes until every repository is answered, and what waited for the token is delivered.
async fn recovery(town: &Town, case: Case) -> Duration {
    let rotated = Instant::now();
    let held = case.begin == Begin::Later && case.kind != Kind::Git;
    loop {
        let asked = town.asked();
        let answered = |(name, _): &(String, Vec<String>)| {
            asked.iter().any(|asked| {
                asked.path.contains(name) && asked.status < Some(400) && asked.status.is_some()
            })
        };
        let left = repositories(WATCHES).iter().filter(|repo| !answered(repo)).count();
        if left == 0 && (!held || !town.world.deployer.created().is_empty()) {
            break rotated.elapsed();
        }
        assert!(rotated.elapsed() <= POLL, "{case:?}: {left} repositories are not answered");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_tried_ten_times_an_hour_and_a_rotated_one_within_a_poll() {
    let (mut most, mut slowest, mut hours, cases) = (0, Duration::ZERO, 0, all_cases());
    for case in &cases {
        let seen = refuse(*case).await;
        most = most.max(seen.most);
        slowest = slowest.max(seen.recovered);
        hours += case.hours;
    }
    let seen = format!(
        "{WATCHES} watches of one host, {} ways to be refused (401, 403; from the start, later; API, git) for {hours} h: at \
         most {most} refusals in any hour; all answered {:.0} s after the token file was rewritten, polled every 60 s",
        cases.len(),
        slowest.as_secs_f64(),
    );
    kept(15, "", &seen);
}
