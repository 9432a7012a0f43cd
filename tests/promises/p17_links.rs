//! 17: whatever a link does, an operation over it ends by its own deadline and a second, nothing is taken for a change, and
//! the next operation over a whole link works.
//!
//! What the program asks over HTTP itself is measured by a paused clock; what git and kubectl do, in `children`.

mod children;

use std::sync::Arc;
use std::time::Duration;

use sentry_core::forge::{ForgeError, ForgePorts};
use sentry_core::repo::RepoUrl;
use sentry_core::secret::Secret;
use sentry_forge::credential::Credential;
use sentry_forge::git::{Transport, TransportSettings};
use sentry_forge::github::{GitHubAuth, GitHubSettings};
use sentry_forge::http::Http;
use sentry_forge::{Hosted, Polling};
use sentry_tests::http::Fault;
use sentry_tests::promise::{cases, kept};
use sentry_tests::proxy::{FaultProxy, Link};
use tokio::time::Instant;

use crate::clients::{Kind, network};
use crate::forges::{Question, ask};
use crate::town::{Forges, MAIN, SmallSteps};

/// What one exchange over HTTP may take.
const DEADLINE: Duration = Duration::from_secs(30);
/// What an end may be late.
const SECOND: Duration = Duration::from_secs(1);
/// About the longest of the answers, in bytes with its head.
const LENGTH: usize = 700;

/// An operation that is one exchange over HTTP.
#[derive(Debug, Clone, Copy)]
enum Operation {
    Ask(Kind, Question),
    /// A token for one repository, made by a GitHub App.
    Lend,
}

const OPERATIONS: [Operation; 9] = [
    Operation::Ask(Kind::GitHub, Question::Heads),
    Operation::Ask(Kind::GitHub, Question::Commit),
    Operation::Ask(Kind::GitHub, Question::Status),
    Operation::Ask(Kind::GitLab, Question::Heads),
    Operation::Ask(Kind::GitLab, Question::Commit),
    Operation::Ask(Kind::GitLab, Question::Status),
    Operation::Ask(Kind::GitHubByGit, Question::Heads),
    Operation::Ask(Kind::Git, Question::Heads),
    Operation::Lend,
];

impl Operation {
    fn client(self, http: &Http, origin: &str, key: &str) -> ForgePorts {
        let Self::Ask(kind, _) = self else {
            let key = Credential::Token(Secret::new(key).into());
            let git = Transport::new(TransportSettings::new(http.settings().clone()));
            return ForgePorts::with_statuses(Arc::new(
                Hosted::github(GitHubSettings {
                    name: "forge".to_owned(),
                    api: Some(format!("{origin}/api/v3").parse().unwrap()),
                    auth: GitHubAuth::App { app_id: 1, installation_id: 2, key },
                    report: None,
                    polling: Polling::Api,
                    http: http.clone(),
                    git,
                })
                .unwrap(),
            ));
        };
        kind.client(http, origin, Credential::Token(Secret::new("a-token-51d0").into()))
    }

    async fn carry_out(self, forge: &ForgePorts, repo: &RepoUrl) -> Result<String, ForgeError> {
        let Self::Ask(_, question) = self else {
            let lent = forge.source.clone_credential(repo).await?.unwrap();
            return Ok(format!("{} {}", lent.username, lent.token.expose()));
        };
        ask(forge, question, repo, &[MAIN.to_owned(), MAIN.to_owned()]).await
    }
}

/// Ways in which a link goes wrong, at every so many bytes of an answer.
fn links() -> Vec<Link> {
    let places = (0..LENGTH).step_by(cases(7, 240));
    let cut = places.flat_map(|n| [Link::CutAfter(n), Link::ResetAfter(n), Link::HalfOpenAfter(n)]);
    let slow = |bytes, every| Link::Drip { bytes, every: Duration::from_millis(every) };
    let moved = Fault::Redirect { status: 301, to: String::new() };
    let others = [
        Link::Latency(Duration::from_secs(5)),
        Link::Latency(Duration::from_secs(120)),
        Link::DropLast(1),
        Link::DropLast(60),
        slow(100, 200),
        slow(1, 200),
        slow(1, 15_000),
        // The head in time, the body not.
        slow(150, 9_000),
        slow(250, 14_000),
        Link::Hang,
        Link::Garbage,
        Link::Answers(Fault::Html),
        Link::Answers(Fault::Garbage),
        Link::Answers(Fault::Hang),
        Link::Answers(Fault::status(500)),
        Link::Answers(Fault::status(502).body("<h1>Bad gateway</h1>")),
        Link::Answers(moved),
    ];
    cut.chain(others).collect()
}

#[tokio::test(start_paused = true)]
async fn every_exchange_over_a_bad_link_ends_in_time_and_the_next_over_a_whole_one_works() {
    let _steps = SmallSteps::begin();
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap().serialize_pem();
    let (http, forges) = (network(), Forges::start().await);
    forges.close_connections();
    let proxy = FaultProxy::here(forges.http.port()).await;
    let repo: RepoUrl = format!("{}/o/r", proxy.origin()).parse().unwrap();
    let (mut tried, mut errors, mut slowest) = (0, 0, Duration::ZERO);
    for operation in OPERATIONS {
        let client = operation.client(&http, &proxy.origin(), &key);
        let truth = operation.carry_out(&client, &repo).await.unwrap();
        for link in links() {
            let what = format!("{operation:?} {link:?}");
            proxy.set(link);
            let begun = Instant::now();
            let answer = operation.carry_out(&client, &repo).await;
            let took = begun.elapsed();
            assert!(took <= DEADLINE + SECOND, "{what}: {took:?}");
            match answer {
                Ok(answer) => assert_eq!(answer, truth, "{what}"),
                Err(_) => errors += 1,
            }
            proxy.set(Link::Fine);
            let again = operation.carry_out(&client, &repo).await;
            assert_eq!(again.unwrap_or_else(|e| panic!("{what}: {e:?}")), truth, "{what}");
            (tried, slowest) = (tried + 1, slowest.max(took));
        }
    }
    assert!(errors * 3 > tried, "the links were hardly bad: {errors} errors of {tried}");
    let seen = format!(
        "{tried} heads, commits, statuses and lent tokens of GitHub, GitLab and git servers over links that were cut, reset, \
         half-open, slow, silent or wrong: the slowest ended after {:.1} s of {} s; {errors} were errors, the others the truth; \
         each next one over a whole link worked",
        slowest.as_secs_f64(),
        DEADLINE.as_secs(),
    );
    kept(17, "HTTP", &seen);
}
