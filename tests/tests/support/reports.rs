//! Statuses and differences by the forges' real clients, against the servers that stand for the forges.

use std::time::Duration;

use sentry_core::forge::{
    Base, ChangesQuery, CommitStatus, ForgeErrorKind, Reporter as _, Source, StatusState,
};
use sentry_core::repo::RepoUrl;
use sentry_core::revision::Revision;
use sentry_core::secret::{Redactor, Secret};
use sentry_core::testing::sample;
use sentry_forge::credential::Credential;
use sentry_forge::git::{Transport, TransportSettings};
use sentry_forge::github::{GitHubAuth, GitHubSettings};
use sentry_forge::gitlab::{GitLabSettings, GitLabToken};
use sentry_forge::http::{Http, HttpSettings};
use sentry_forge::{Hosted, Polling};
use sentry_tests::forges::ForgeOptions;
use sentry_tests::forges::github::GitHub;
use sentry_tests::forges::gitlab::GitLab;
use sentry_tests::repo::{BareRepo, Entry};
use tempfile::TempDir;

pub(crate) const TOKEN: &str = "t0ken";

pub(crate) fn network() -> (Http, Transport) {
    let settings = HttpSettings::new(Redactor::new());
    (Http::new(&settings).unwrap(), Transport::new(TransportSettings::new(settings)))
}

pub(crate) fn secret(text: &str) -> Credential {
    Credential::Token(Secret::new(text).into())
}

struct Hub {
    _root: TempDir,
    repo: BareRepo,
    server: GitHub,
}

impl Hub {
    fn start() -> Self {
        let root = tempfile::tempdir().unwrap();
        let repo = BareRepo::create(root.path(), "o/r.git");
        let options = ForgeOptions { enterprise: true, ..ForgeOptions::default() };
        let server = GitHub::start(root.path(), options);
        server.tokens().grant(TOKEN);
        Self { _root: root, repo, server }
    }

    fn url(&self) -> RepoUrl {
        self.server.clone_url("o/r").parse().unwrap()
    }

    fn client(&self, auth: GitHubAuth) -> Hosted {
        let (http, git) = network();
        let api = Some(self.server.api().parse().unwrap());
        let (name, polling) = ("github".to_owned(), Polling::Auto);
        Hosted::github(GitHubSettings { name, api, auth, report: None, polling, http, git })
            .unwrap()
    }

    fn by_token(&self) -> Hosted {
        self.client(GitHubAuth::Token(secret(TOKEN)))
    }

    fn by_app(&self) -> Hosted {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap().serialize_pem();
        self.client(GitHubAuth::App { app_id: 1, installation_id: 42, key: secret(&key) })
    }
}

struct Lab {
    _root: TempDir,
    repo: BareRepo,
    server: GitLab,
    client: Hosted,
}

impl Lab {
    fn start() -> Self {
        let root = tempfile::tempdir().unwrap();
        let repo = BareRepo::create(root.path(), "top/sub/r.git");
        let server = GitLab::start(root.path(), ForgeOptions::default());
        server.tokens().grant(TOKEN);
        let (http, git) = network();
        let client = Hosted::gitlab(GitLabSettings {
            name: "gitlab".into(),
            url: Some(server.api().trim_end_matches("/api/v4").parse().unwrap()),
            credential: secret(TOKEN),
            token_kind: GitLabToken::Private,
            report: None,
            polling: Polling::Auto,
            http,
            git,
        });
        Self { _root: root, repo, server, client: client.unwrap() }
    }

    fn url(&self) -> RepoUrl {
        self.server.clone_url("top/sub/r").parse().unwrap()
    }
}

fn status(sha: &str, state: StatusState, delivery: char) -> CommitStatus {
    CommitStatus {
        revision: sample::at("main", sha),
        context: "sentry-gitops/qa".into(),
        state,
        description: "what is said".into(),
        link: Some("https://sentry.example.com/1".into()),
        delivery: Some(format!("01j000000000000000000000{delivery}a").parse().unwrap()),
        subjects: vec![sample::subject("main")],
    }
}

fn main_at(sha: &str) -> Revision {
    sample::at("main", sha)
}

fn difference(repo: &RepoUrl, from: &str, to: &str) -> ChangesQuery {
    ChangesQuery {
        repo: repo.clone(),
        from: Base::Commit(from.parse().unwrap()),
        to: sample::at("main", to),
        timeout: Duration::from_secs(60),
    }
}

#[tokio::test]
async fn github_keeps_statuses_of_commits_that_it_has_and_names_follow_a_rename() {
    let hub = Hub::start();
    let sha = hub.repo.commit("main", &[("a", "1")], "first");
    let (client, url) = (hub.by_token(), hub.url());
    client.set_status(&url, &status(&sha, StatusState::Pending, 'x')).await.unwrap();
    hub.server.rename("o/r", "o/new");
    client.set_status(&url, &status(&sha, StatusState::Failure, 'x')).await.unwrap();
    let states: Vec<_> =
        hub.server.statuses().iter().map(|s| s.body["state"].to_string()).collect();
    assert_eq!(states, ["\"pending\"", "\"failure\""]);
    let gone = status(&"1".repeat(40), StatusState::Error, 'x');
    let error = client.set_status(&url, &gone).await.unwrap_err();
    assert_eq!(error.kind(), ForgeErrorKind::NotFound);
}

#[tokio::test]
async fn a_token_that_may_only_read_is_told_what_it_lacks() {
    let (hub, lab) = (Hub::start(), Lab::start());
    let sha = hub.repo.commit("main", &[("a", "1")], "first");
    hub.server.let_read_only(TOKEN);
    let client = hub.by_token();
    let denied = client.set_status(&hub.url(), &status(&sha, StatusState::Pending, 'x')).await;
    assert_eq!(denied.unwrap_err().kind(), ForgeErrorKind::Unauthorized);
    assert!(client.commit(&hub.url(), &main_at(&sha)).await.is_ok());

    let sha = lab.repo.commit("main", &[("a", "1")], "first");
    lab.server.let_read_only(TOKEN);
    let denied = lab.client.set_status(&lab.url(), &status(&sha, StatusState::Pending, 'x')).await;
    assert_eq!(denied.unwrap_err().kind(), ForgeErrorKind::Unauthorized);
    assert_eq!(lab.client.probe(&lab.url()).await.unwrap().can_report, Some(false));
    assert!(lab.client.commit(&lab.url(), &main_at(&sha)).await.is_ok());
}

#[tokio::test]
async fn an_app_makes_one_check_run_for_a_delivery_also_after_a_restart() {
    let hub = Hub::start();
    let sha = hub.repo.commit("main", &[("a", "1")], "first");
    let url = hub.url();
    let first = hub.by_app();
    first.set_status(&url, &status(&sha, StatusState::Pending, 'x')).await.unwrap();
    let second = hub.by_app();
    second.set_status(&url, &status(&sha, StatusState::Success, 'x')).await.unwrap();
    second.set_status(&url, &status(&sha, StatusState::Success, 'x')).await.unwrap();
    second.set_status(&url, &status(&sha, StatusState::Error, 'y')).await.unwrap();
    let runs = hub.server.check_runs();
    let shown: Vec<_> = runs.iter().map(|run| run["conclusion"].as_str().unwrap()).collect();
    assert_eq!(shown, ["success", "action_required"]);
    assert!(hub.server.statuses().is_empty());
    assert_eq!(first.probe(&url).await.unwrap().can_report, Some(true));
}

#[tokio::test]
async fn an_app_sets_what_its_installation_grants() {
    for (grants, statuses) in [
        (&[("contents", "read"), ("statuses", "write")][..], Some(1)),
        (&[("contents", "read")], None),
    ] {
        let hub = Hub::start();
        let sha = hub.repo.commit("main", &[("a", "1")], "first");
        hub.server.set_grants(grants);
        let client = hub.by_app();
        let set = client.set_status(&hub.url(), &status(&sha, StatusState::Success, 'x')).await;
        assert_eq!(set.is_ok().then(|| hub.server.statuses().len()), statuses, "{set:?}");
        assert!(hub.server.check_runs().is_empty());
        assert!(client.commit(&hub.url(), &main_at(&sha)).await.is_ok());
    }
}

#[tokio::test]
async fn gitlab_takes_a_state_twice_and_another_delivery_after_the_end() {
    let lab = Lab::start();
    let sha = lab.repo.commit("main", &[("a", "1")], "first");
    let url = lab.url();
    for state in [
        StatusState::Pending,
        StatusState::Pending,
        StatusState::Neutral,
        StatusState::Pending,
        StatusState::Failure,
        StatusState::Failure,
    ] {
        lab.client.set_status(&url, &status(&sha, state, 'x')).await.unwrap();
    }
    lab.server.rename("top/sub/r", "top/new");
    lab.client.set_status(&url, &status(&sha, StatusState::Pending, 'y')).await.unwrap();
    let states: Vec<_> = lab
        .server
        .statuses()
        .iter()
        .map(|s| s.body["state"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(states, ["running", "success", "running", "failed", "failed", "running"]);
    let gone = status(&"1".repeat(40), StatusState::Error, 'x');
    let error = lab.client.set_status(&url, &gone).await.unwrap_err();
    assert_eq!(error.kind(), ForgeErrorKind::NotFound);
}

/// Two commits of which neither comes before the other, a file renamed between them.
fn parted(repo: &BareRepo) -> (String, String, String) {
    let text = "the same long enough text\n".repeat(20);
    let base = repo.commit("main", &[("old.txt", &text), ("kept", "1")], "base");
    repo.force("other", &base);
    let one = repo.commit("main", &[("one", "1")], "one");
    let entries =
        [Entry::delete("old.txt"), Entry::file("new.txt", &text), Entry::file("two", "2")];
    let two = repo.commit_entries("other", &entries, "two");
    (base, one, two)
}

#[tokio::test]
async fn both_forges_tell_the_difference_of_trees_after_a_push_and_after_a_force_push() {
    let (hub, lab) = (Hub::start(), Lab::start());
    let hub_client = hub.by_token();
    let forges: [(&dyn Source, &BareRepo, RepoUrl); 2] =
        [(&hub_client, &hub.repo, hub.url()), (&lab.client, &lab.repo, lab.url())];
    for (forge, repo, url) in forges {
        let (base, one, two) = parted(repo);
        for (from, to, expected) in [
            (&base, &one, &["one"][..]),
            (&base, &two, &["new.txt", "old.txt", "two"]),
            (&one, &base, &["one"]),
            (&one, &two, &["new.txt", "old.txt", "one", "two"]),
        ] {
            let told = forge.changes(&difference(&url, from, to)).await.unwrap();
            assert_eq!(told.paths, expected, "{url} {from} {to}");
            assert!(!told.truncated);
        }
        let gone = "1".repeat(40);
        let error = forge.changes(&difference(&url, &gone, &one)).await.unwrap_err();
        assert_eq!(error.kind(), ForgeErrorKind::Unsupported, "{error}");
    }
}
