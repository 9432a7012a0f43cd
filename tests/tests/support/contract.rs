//! The contracts of a forge's ports, clause by clause, against the real clients and the servers that stand for the forges.

use std::path::Path;
use std::sync::Arc;

use sentry_core::forge::ForgePorts;
use sentry_core::repo::CommitSha;
use sentry_core::testing::forge_contract::{Host, Scene, Wrong};
use sentry_forge::Probed;
use sentry_forge::git::{GitForge, GitSettings};
use sentry_forge::gitea::GiteaSettings;
use sentry_forge::github::{GitHubAuth, GitHubSettings};
use sentry_forge::gitlab::{GitLabSettings, GitLabToken};
use sentry_forge::{Hosted, Polling};
use sentry_tests::forges::ForgeOptions;
use sentry_tests::forges::gitea::Gitea;
use sentry_tests::forges::github::GitHub;
use sentry_tests::forges::gitlab::GitLab;
use sentry_tests::gitserver::{GitOptions, GitServer};
use sentry_tests::http::{Fault, HttpServer};
use sentry_tests::repo::BareRepo;
use tempfile::TempDir;

use crate::reports::{TOKEN, network, secret};

#[derive(Debug)]
enum Server {
    Git(GitServer),
    Hub(GitHub),
    Lab(GitLab),
    Tea(Gitea),
}

impl Server {
    fn http(&self) -> &HttpServer {
        match self {
            Self::Git(server) => server.http(),
            Self::Hub(server) => server.http(),
            Self::Lab(server) => server.http(),
            Self::Tea(server) => server.http(),
        }
    }
}

#[derive(Debug)]
struct Site {
    server: Server,
    repo: BareRepo,
    _root: TempDir,
}

impl Host for Site {
    fn commit(&self, branch: &str, message: &str, files: &[(&str, &str)]) -> CommitSha {
        self.repo.commit(branch, files, message).parse().unwrap()
    }

    fn delete(&self, branch: &str) {
        self.repo.delete_branch(branch);
    }

    fn tag(&self, name: &str, commit: &CommitSha, objects: usize) {
        self.repo.force(&format!("refs/tags/{name}"), commit.as_str());
        let around = |object: String, _| self.repo.annotate(name, &object);
        (0..objects).fold(commit.to_string(), around);
    }

    fn answer_wrongly(&self, wrong: Wrong) {
        let fault = match wrong {
            Wrong::Page => Fault::Html,
            Wrong::Garbage => Fault::Garbage,
            Wrong::Half => Fault::Truncated,
        };
        let faults = self.server.http().faults();
        faults.clear();
        faults.until_cleared("", fault);
    }
}

/// A forge with a repository in which nothing is yet, and an empty one.
fn scene(
    start: impl FnOnce(&Path) -> Server,
    client: impl FnOnce(&str) -> Arc<dyn Probed>,
) -> Scene {
    let root = tempfile::tempdir().unwrap();
    let repo = BareRepo::create(root.path(), "o/r.git");
    BareRepo::create(root.path(), "o/empty.git");
    let server = start(root.path());
    let origin = server.http().origin();
    let at = |name: &str| format!("{origin}/o/{name}.git").parse().unwrap();
    let forge: ForgePorts = client(&origin).ports();
    let (repo_url, empty, missing) = (at("r"), at("empty"), at("missing"));
    let host = Box::new(Site { server, repo, _root: root });
    Scene { forge, repo: repo_url, empty, missing, host }
}

async fn plain() -> Scene {
    let start = |root: &Path| {
        let server = GitServer::start(root, GitOptions::default(), None);
        server.tokens().grant(TOKEN);
        Server::Git(server)
    };
    scene(start, |_| {
        let ((http, git), credential) = (network(), secret(TOKEN));
        let (name, username, transport) = ("git".into(), "git".into(), Arc::new(git));
        Arc::new(GitForge::new(GitSettings { name, credential, username, http, transport }))
    })
}

fn hub(polling: Polling) -> Scene {
    let start = |root: &Path| {
        let options = ForgeOptions { enterprise: true, ..ForgeOptions::default() };
        let server = GitHub::start(root, options);
        server.tokens().grant(TOKEN);
        Server::Hub(server)
    };
    scene(start, |origin| {
        let ((http, git), auth) = (network(), GitHubAuth::Token(secret(TOKEN)));
        let (name, api) = ("github".into(), Some(format!("{origin}/api/v3").parse().unwrap()));
        let settings = GitHubSettings { name, api, auth, report: None, polling, http, git };
        Arc::new(Hosted::github(settings).unwrap())
    })
}

async fn hub_by_api() -> Scene {
    hub(Polling::Auto)
}

async fn hub_by_git() -> Scene {
    hub(Polling::Git)
}

async fn lab() -> Scene {
    let start = |root: &Path| {
        let server = GitLab::start(root, ForgeOptions::default());
        server.tokens().grant(TOKEN);
        Server::Lab(server)
    };
    scene(start, |origin| {
        let (http, git) = network();
        let settings = GitLabSettings {
            name: "gitlab".into(),
            url: Some(origin.parse().unwrap()),
            credential: secret(TOKEN),
            token_kind: GitLabToken::Private,
            report: None,
            polling: Polling::Auto,
            http,
            git,
        };
        Arc::new(Hosted::gitlab(settings).unwrap())
    })
}

async fn tea() -> Scene {
    let start = |root: &Path| {
        let server = Gitea::start(root, ForgeOptions::default());
        server.tokens().grant(TOKEN);
        Server::Tea(server)
    };
    scene(start, |origin| {
        let ((http, git), credential) = (network(), secret(TOKEN));
        let (name, url) = ("gitea".into(), origin.parse().unwrap());
        let settings = GiteaSettings { name, url, credential, report: None, http, git };
        Arc::new(Hosted::gitea(settings).unwrap())
    })
}

mod a_git_server {
    sentry_core::heads_contract_tests!(super::plain);
    sentry_core::source_contract_tests!(super::plain);
}

mod github {
    sentry_core::heads_contract_tests!(super::hub_by_api);
    sentry_core::source_contract_tests!(super::hub_by_api);
    sentry_core::reporter_contract_tests!(super::hub_by_api);
}

mod github_asked_by_git {
    sentry_core::heads_contract_tests!(super::hub_by_git);
}

mod gitlab {
    sentry_core::heads_contract_tests!(super::lab);
    sentry_core::source_contract_tests!(super::lab);
    sentry_core::reporter_contract_tests!(super::lab);
}

mod gitea {
    sentry_core::heads_contract_tests!(super::tea);
    sentry_core::source_contract_tests!(super::tea);
    sentry_core::reporter_contract_tests!(super::tea);
}
