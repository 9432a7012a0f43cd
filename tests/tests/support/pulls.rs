//! Stories of pull requests on servers that stand for GitHub, GitLab and Gitea: what a client remembers of its answers is
//! what there is, whatever happened in between.

use std::collections::BTreeMap;
use std::path::Path;

use sentry_core::forge::{Heads as _, PullChanges, PullsAnswer, PullsQuery, Validator};
use sentry_core::pull::{PullNumber, PullRequest};
use sentry_core::repo::RepoUrl;
use sentry_forge::gitea::GiteaSettings;
use sentry_forge::github::{GitHubAuth, GitHubSettings};
use sentry_forge::gitlab::{GitLabSettings, GitLabToken};
use sentry_forge::{Hosted, Polling};
use sentry_tests::forges::ForgeOptions;
use sentry_tests::forges::desk::Desk;
use sentry_tests::forges::gitea::Gitea;
use sentry_tests::forges::github::GitHub;
use sentry_tests::forges::gitlab::GitLab;
use sentry_tests::http::HttpServer;
use sentry_tests::repo::BareRepo;
use tempfile::TempDir;

use crate::reports::{TOKEN, network, secret};

const REPO: &str = "o/r";
const FORK: &str = "ada/r";
const KINDS: [&str; 3] = ["github", "gitlab", "gitea"];

enum Server {
    Hub(GitHub),
    Lab(GitLab),
    Tea(Gitea),
}

impl Server {
    fn start(kind: &str, root: &Path) -> Self {
        let options = |enterprise| ForgeOptions { enterprise, ..ForgeOptions::default() };
        match kind {
            "github" => Self::Hub(GitHub::start(root, options(true))),
            "gitlab" => Self::Lab(GitLab::start(root, options(false))),
            _ => Self::Tea(Gitea::start(root, options(false))),
        }
    }

    fn http(&self) -> &HttpServer {
        match self {
            Self::Hub(server) => server.http(),
            Self::Lab(server) => server.http(),
            Self::Tea(server) => server.http(),
        }
    }

    fn desk(&self) -> &Desk {
        match self {
            Self::Hub(server) => server.desk(),
            Self::Lab(server) => server.desk(),
            Self::Tea(server) => server.desk(),
        }
    }

    fn client(&self) -> Hosted {
        let ((http, git), origin) = (network(), self.http().origin());
        match self {
            Self::Hub(server) => {
                server.tokens().grant(TOKEN);
                let (name, auth) = ("github".to_owned(), GitHubAuth::Token(secret(TOKEN)));
                let api = Some(format!("{origin}/api/v3").parse().unwrap());
                let polling = Polling::Auto;
                let settings = GitHubSettings { name, api, auth, report: None, polling, http, git };
                Hosted::github(settings).unwrap()
            }
            Self::Lab(server) => {
                server.tokens().grant(TOKEN);
                Hosted::gitlab(GitLabSettings {
                    name: "gitlab".to_owned(),
                    url: Some(origin.parse().unwrap()),
                    credential: secret(TOKEN),
                    token_kind: GitLabToken::Private,
                    report: None,
                    polling: Polling::Auto,
                    http,
                    git,
                })
                .unwrap()
            }
            Self::Tea(server) => {
                server.tokens().grant(TOKEN);
                let (name, url) = ("gitea".to_owned(), origin.parse().unwrap());
                let credential = secret(TOKEN);
                let settings = GiteaSettings { name, url, credential, report: None, http, git };
                Hosted::gitea(settings).unwrap()
            }
        }
    }
}

/// A server, a client, and what that remembers.
struct Scene {
    server: Server,
    client: Hosted,
    repo: BareRepo,
    fork: BareRepo,
    url: RepoUrl,
    known: BTreeMap<PullNumber, PullRequest>,
    validator: Option<Validator>,
    /// What there is, by number.
    truth: BTreeMap<u64, PullRequest>,
    closed: Vec<u64>,
    number: usize,
    _root: TempDir,
}

impl Scene {
    fn new(kind: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        let (repo, fork) =
            (BareRepo::create(root.path(), "o/r.git"), BareRepo::create(root.path(), "ada/r.git"));
        let server = Server::start(kind, root.path());
        let client = server.client();
        let url = format!("{}/{REPO}.git", server.http().origin()).parse().unwrap();
        repo.commit("main", &[("a", "1")], "first");
        fork.commit("main", &[("a", "1")], "first");
        let (known, truth) = (BTreeMap::new(), BTreeMap::new());
        let (validator, closed, number) = (None, Vec::new(), 0);
        Self {
            server,
            client,
            repo,
            fork,
            url,
            known,
            validator,
            truth,
            closed,
            number,
            _root: root,
        }
    }

    /// A commit on a branch of the repository, or of the fork.
    fn push(&mut self, branch: &str, is_fork: bool) -> String {
        self.number += 1;
        let repo = if is_fork { &self.fork } else { &self.repo };
        repo.commit(branch, &[("n", &self.number.to_string())], "work")
    }

    fn open(&mut self, is_fork: bool) {
        let branch = format!("topic-{}", self.number);
        let head = self.push(&branch, is_fork);
        let from = if is_fork { FORK } else { REPO };
        let number = self.server.desk().open(REPO, from, (&branch, &head), "main");
        let pull = PullRequest {
            number: number.into(),
            title: format!("Pull {number}"),
            author: "ada".to_owned(),
            is_draft: false,
            labels: Default::default(),
            head: head.parse().unwrap(),
            source_branch: branch.parse().unwrap(),
            target_branch: "main".parse().unwrap(),
            is_fork,
        };
        self.truth.insert(number, pull);
    }

    /// Something happens to one of them.
    fn happens(&mut self, random: &mut fastrand::Rng) {
        let open: Vec<u64> = self.truth.keys().copied().collect();
        let Some(number) = random.choice(open) else { return self.open(random.bool()) };
        let mut pull = self.truth[&number].clone();
        let desk = self.server.desk();
        match random.u8(0..10) {
            0..=2 => return self.open(random.u8(0..3) == 0),
            // Nobody pushes to what is deleted.
            3 if desk.get(REPO, number).from.is_none() => return,
            3 => {
                let head = self.push(pull.source_branch.as_str(), pull.is_fork);
                pull.head = head.parse().unwrap();
            }
            4 => {
                pull.is_draft = !pull.is_draft;
                desk.change(REPO, number, |it| it.is_draft = pull.is_draft);
            }
            5 => {
                let label = random.choice(["qa", "slow", "no-qa"]).unwrap().to_owned();
                if !pull.labels.remove(&label) {
                    pull.labels.insert(label);
                }
                desk.change(REPO, number, |it| it.labels.clone_from(&pull.labels));
            }
            6 => {
                pull.target_branch =
                    random.choice(["main", "dev", "release/1"]).unwrap().parse().unwrap();
                let target = pull.target_branch.to_string();
                desk.change(REPO, number, |it| it.target = target);
            }
            7 if pull.is_fork => {
                // The fork is deleted: its head stays as it was.
                let head = pull.head.to_string();
                desk.change(REPO, number, |it| (it.from, it.head) = (None, head));
            }
            7 => {
                pull.title = format!("Pull {number}, {}", self.number);
                desk.change(REPO, number, |it| it.title.clone_from(&pull.title));
            }
            8 => {
                desk.change(REPO, number, |it| (it.is_open, it.is_merged) = (false, random.bool()));
                self.truth.remove(&number);
                return self.closed.push(number);
            }
            _ => {
                let Some(again) = self.closed.pop() else { return };
                desk.change(REPO, again, |it| (it.is_open, it.is_merged) = (true, false));
                return self.reopened(again);
            }
        }
        self.truth.insert(number, pull);
    }

    fn reopened(&mut self, number: u64) {
        let told = self.server.desk().get(REPO, number);
        let pull = PullRequest {
            number: number.into(),
            title: told.title,
            author: told.author,
            is_draft: told.is_draft,
            labels: told.labels,
            head: told.head.parse().unwrap(),
            source_branch: told.source.parse().unwrap(),
            target_branch: told.target.parse().unwrap(),
            is_fork: told.from.as_deref() != Some(REPO),
        };
        self.truth.insert(number, pull);
    }

    /// The client asks, and remembers; how many requests that took, and whether anything was told.
    async fn poll(&mut self) -> (usize, bool) {
        let before = self.server.http().log().requests();
        let query = PullsQuery { repo: self.url.clone(), validator: self.validator.clone() };
        let answer = self.client.pulls(&[query]).await.remove(0).unwrap();
        let requests = self.server.http().log().requests() - before;
        let PullsAnswer::Pulls(changes) = answer else { return (requests, false) };
        let PullChanges { open, closed, is_whole, validator } = changes;
        if is_whole {
            self.known.clear();
        }
        for pull in open {
            self.known.insert(pull.number.clone(), pull);
        }
        for number in closed {
            self.known.remove(&number);
        }
        let is_new = self.validator != validator;
        self.validator = validator;
        (requests, is_new)
    }

    #[track_caller]
    fn agrees(&self, story: &str) {
        let known: Vec<&PullRequest> = self.known.values().collect();
        let truth: Vec<&PullRequest> = self.truth.values().collect();
        assert_eq!(known, truth, "{story}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_remembered_of_pull_requests_is_what_there_is_whatever_happens() {
    for kind in KINDS {
        for seed in 0..8 {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut scene = Scene::new(kind);
            for _ in 0..random.usize(0..6) {
                scene.happens(&mut random);
            }
            for step in 0..12 {
                scene.poll().await;
                scene.agrees(&format!("{kind}, story {seed}, step {step}"));
                for _ in 0..random.usize(0..4) {
                    scene.happens(&mut random);
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_are_read_page_by_page_and_an_idle_poll_is_one_request() {
    for kind in KINDS {
        let mut scene = Scene::new(kind);
        let head = scene.push("topic", false);
        for number in 1..=120 {
            assert_eq!(scene.server.desk().open(REPO, REPO, ("topic", &head), "main"), number);
        }
        scene.poll().await;
        assert_eq!(scene.known.len(), 120, "{kind}");
        assert!(scene.known.values().all(|pull| pull.head.as_str() == head), "{kind}");
        // The first question about what was updated since has a validator of its own.
        scene.poll().await;
        for _ in 0..3 {
            let (requests, is_new) = scene.poll().await;
            assert_eq!((requests, is_new), (1, false), "{kind}");
        }
        // One of the oldest is closed: it is on no first page of the open ones.
        scene.server.desk().change(REPO, 2, |it| it.is_open = false);
        assert_eq!(scene.poll().await, (1, true), "{kind}");
        assert_eq!(scene.known.len(), 119, "{kind}");
        // More changes than a few pages hold.
        for number in 3..=120 {
            scene.server.desk().change(REPO, number, |it| it.is_draft = true);
        }
        scene.poll().await;
        assert_eq!(scene.known.values().filter(|pull| pull.is_draft).count(), 118, "{kind}");
    }
}
