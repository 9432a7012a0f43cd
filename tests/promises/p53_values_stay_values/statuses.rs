//! Statuses of hostile branches and runs: what the engine gives a forge, and what the forges' real clients send.

use std::collections::{BTreeMap, BTreeSet};

use sentry_core::delivery::RunState;
use sentry_core::forge::CommitStatus;
use sentry_core::repo::RepoUrl;
use sentry_core::revision::Revision;
use sentry_core::testing::fakes::FakeDeployer;
use sentry_core::watch::ReportMode;
use sentry_core::watch::sample::watch;
use sentry_tests::forges::{ForgeOptions, github, gitlab};
use sentry_tests::promise::{cases, kept};
use sentry_tests::repo::BareRepo;
use serde_json::Value;
use url::{Url, form_urlencoded};

use super::{Hostile, raw};
use crate::forges::{TOKEN, Way, token};
use crate::world::{A, World, seconds};

/// Branches of one world; two each stand at one commit.
const BRANCHES: usize = 50;
const LINK: &str = "https://dash.example/{branch}/x?w={watch}&b={branch}#{run}";

/// Two branches that look alike where what is hidden is not shown, or all the same two.
fn pair(hostile: &mut Hostile) -> [String; 2] {
    let one = hostile.branch().name().to_owned();
    let other = format!("{one}\u{202e}");
    let other = if hostile.0.bool() { hostile.branch().name().to_owned() } else { other };
    if other.len() > 244 || one.to_lowercase() == other.to_lowercase() {
        return pair(hostile);
    }
    [one, other]
}

/// What a forge is told of hostile branches whose runs end with hostile reasons.
async fn told(hostile: &mut Hostile) -> (BTreeSet<String>, Vec<CommitStatus>) {
    let mut world = World::new(FakeDeployer::new().following());
    world.watches[0] = watch("qa", &["**"]);
    world.watches[0].reporting.mode = ReportMode::PerRun;
    world.watches[0].reporting.link = Some(LINK.to_owned());
    world.start();
    seconds(20).await;
    let mut branches = BTreeSet::new();
    for _ in 0..BRANCHES / 2 {
        let [one, other] = pair(hostile);
        let sha = world.forge.commit(A, &one, &hostile.text(), &[]);
        world.forge.set(A, &other, &sha);
        branches.extend([one, other]);
    }
    for _ in 0..8 {
        seconds(120).await;
        for run in world.deployer.active_runs() {
            assert!(world.deployer.finish(&run, RunState::Failed, &hostile.text()));
        }
    }
    (branches, world.forge.statuses())
}

/// A link leads where its template says, and names the branch.
fn judge_link(link: &str, status: &CommitStatus) {
    let url = Url::parse(link).unwrap();
    assert_eq!(url.as_str(), link, "a browser would read it otherwise");
    assert_eq!((url.scheme(), url.host_str(), url.port()), ("https", Some("dash.example"), None));
    assert_eq!((url.username(), url.password()), ("", None));
    let path: Vec<_> = url.path_segments().unwrap().collect();
    let [branch, "x"] = path.as_slice() else { panic!("{link}") };
    let decoded = format!("b={branch}");
    let decoded = form_urlencoded::parse(decoded.as_bytes()).next().unwrap().1.into_owned();
    assert_eq!(decoded, status.revision.subject.text(), "{link}");
    let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    assert_eq!(pairs, [("w".to_owned(), "qa".to_owned()), ("b".to_owned(), decoded)], "{link}");
    assert!(link.is_ascii() && !link.contains(['<', '>', '"', '\'', '`', '\\', ' ']), "{link}");
}

/// A runtime of its own: with time held for the engine, with real time for real servers.
fn run<T>(held: bool, work: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().start_paused(held).build().unwrap().block_on(work)
}

#[test]
fn a_status_of_a_hostile_branch_says_it_in_inert_words_and_leads_nowhere_else() {
    let mut hostile = Hostile(fastrand::Rng::with_seed(56));
    let worlds = cases(10_000 / BRANCHES, 2);
    let (mut texts, mut branches, mut shared) = (0, 0, 0);
    let mut sent = Vec::new();
    for _ in 0..worlds {
        let (pushed, told) = run(true, told(&mut hostile));
        let (mut of, mut lines) = (BTreeSet::new(), BTreeMap::new());
        for status in &told {
            let CommitStatus { context, description, link, subjects, revision, .. } = status;
            for text in [context, description] {
                assert_eq!(raw(text), None, "{text:?}");
                assert!(!text.contains('\n'), "{text:?}");
            }
            judge_link(link.as_deref().unwrap(), status);
            of.extend(subjects.iter().map(ToString::to_string));
            if context.contains(" (") {
                let known = lines.entry((&revision.sha, context)).or_insert(branches);
                assert_eq!(*known, branches, "two branches share the line {context}");
            }
            texts += 2;
        }
        assert_eq!(of, pushed, "every branch is told of");
        shared += lines.len();
        branches += of.len();
        sent.extend(told.into_iter().step_by(cases(397, 7)));
    }
    let texts_sent = run(false, send(&sent));
    kept(
        53,
        "statuses and links",
        &format!(
            "{branches} branches, {shared} lines of their own, {texts} texts and {} links given to a forge, {texts_sent} texts sent by the real clients: \
             every link leads to its page and names its branch, 0 control or direction characters",
            texts / 2
        ),
    );
}

/// Sends them by the clients of GitHub and GitLab; how many texts those servers got.
async fn send(statuses: &[CommitStatus]) -> usize {
    let dir = tempfile::tempdir().unwrap();
    let sha = BareRepo::create(dir.path(), "o/r.git").commit("main", &[("a", "b")], "all");
    let options = ForgeOptions { enterprise: true, ..ForgeOptions::default() };
    let hub = github::GitHub::start(dir.path(), options.clone());
    let lab = gitlab::GitLab::start(dir.path(), options);
    hub.tokens().grant(TOKEN);
    lab.tokens().grant(TOKEN);
    let clients = [
        (Way::HubApi.client(&hub.http().origin(), token()), hub.clone_url("o/r")),
        (Way::LabApi.client(&lab.http().origin(), token()), lab.clone_url("o/r")),
    ];
    for status in statuses {
        let revision = Revision { sha: sha.parse().unwrap(), ..status.revision.clone() };
        let status = CommitStatus { revision, ..status.clone() };
        for (client, url) in &clients {
            let repo: RepoUrl = url.parse().unwrap();
            client.reporter.as_ref().unwrap().set_status(&repo, &status).await.unwrap();
        }
    }
    let mut texts = 0;
    for posted in hub.statuses().into_iter().chain(lab.statuses()) {
        let Value::Object(body) = &posted.body else { panic!("{:?}", posted.body) };
        // GitLab is told which ref it is about: a name to find, not a text to show.
        for (key, value) in body.iter().filter(|(key, _)| *key != "ref") {
            assert_eq!(value.as_str().and_then(raw), None, "{key}: {value:?}");
            texts += 1;
        }
    }
    texts
}
