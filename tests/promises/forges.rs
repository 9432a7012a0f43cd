//! The real clients of the forges, in front of a GitHub and a GitLab with a repository.

use std::sync::Arc;
use std::time::Duration;

use sentry_core::clock::{Clock as _, SystemClock};
use sentry_core::forge::{
    Base, ChangesQuery, CommitStatus, ForgeError, ForgePorts, HeadsAnswer, HeadsQuery, StatusState,
    TreeLimits, TreeQuery, Validator,
};
use sentry_core::ids::DeliveryId;
use sentry_core::repo::RepoUrl;
use sentry_core::secret::{Redactor, Secret};
use sentry_core::testing::sample;
use sentry_core::watch::BranchSelector;
use sentry_forge::credential::Credential;
use sentry_forge::git::{GitForge, GitSettings, Transport, TransportSettings};
use sentry_forge::github::{GitHubAuth, GitHubSettings};
use sentry_forge::gitlab::{GitLabSettings, GitLabToken};
use sentry_forge::http::{Http, HttpSettings};
use sentry_forge::{Hosted, Polling};
use sentry_tests::forges::{ForgeOptions, github, gitlab};
use sentry_tests::http::HttpServer;
use sentry_tests::repo::BareRepo;
use sentry_tests::tls::Tls;
use tempfile::TempDir;

/// What all requests are made with. Its characters change in every encoding.
pub(crate) const TOKEN: &str = "Canary/T0ken+4f1d==9b77";

/// A client, and how it asks for heads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    HubApi,
    HubGit,
    LabApi,
    LabGit,
    Plain,
    /// As the last, but the git program fetches.
    Program,
}

pub(crate) const WAYS: [Way; 6] =
    [Way::HubApi, Way::HubGit, Way::LabApi, Way::LabGit, Way::Plain, Way::Program];

impl Way {
    /// What it may be asked: a plain git server has no statuses.
    pub(crate) fn questions(self) -> impl Iterator<Item = Question> + Clone {
        QUESTIONS.into_iter().filter(move |q| *q != Question::Status || !self.is_plain())
    }

    pub(crate) fn is_plain(self) -> bool {
        matches!(self, Self::Plain | Self::Program)
    }

    pub(crate) fn is_lab(self) -> bool {
        matches!(self, Self::LabApi | Self::LabGit)
    }

    /// The client, for a server at this origin.
    pub(crate) fn client(self, origin: &str, credential: Credential) -> ForgePorts {
        self.client_over(HttpSettings::new(Redactor::new()), origin, credential)
    }

    /// The client, over this network.
    pub(crate) fn client_over(
        self,
        network: HttpSettings,
        origin: &str,
        credential: Credential,
    ) -> ForgePorts {
        let http = Http::new(&network).unwrap();
        let git = Transport::new(match self {
            Self::Program => TransportSettings::new(network),
            _ => TransportSettings::within(&http),
        });
        let (name, report) = ("forge".to_owned(), None);
        let polling = match self {
            Self::HubGit | Self::LabGit => Polling::Git,
            _ => Polling::Api,
        };
        match self {
            Self::HubApi | Self::HubGit => {
                let api = Some(format!("{origin}/api/v3").parse().unwrap());
                let auth = GitHubAuth::Token(credential);
                let settings = GitHubSettings { name, api, auth, report, polling, http, git };
                ForgePorts::with_statuses(Arc::new(Hosted::github(settings).unwrap()))
            }
            Self::LabApi | Self::LabGit => {
                let (url, token_kind) = (Some(origin.parse().unwrap()), GitLabToken::Private);
                let settings = GitLabSettings {
                    name,
                    url,
                    credential,
                    token_kind,
                    report,
                    polling,
                    http,
                    git,
                };
                ForgePorts::with_statuses(Arc::new(Hosted::gitlab(settings).unwrap()))
            }
            Self::Plain | Self::Program => {
                let (username, transport) = ("git".to_owned(), Arc::new(git));
                let settings = GitSettings { name, credential, username, http, transport };
                ForgePorts::new(Arc::new(GitForge::new(settings).only_for(origin)))
            }
        }
    }
}

pub(crate) fn token() -> Credential {
    Credential::Token(Secret::new(TOKEN).into())
}

/// One question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Question {
    Heads,
    Tree,
    Commit,
    Changes,
    Status,
}

pub(crate) const QUESTIONS: [Question; 5] =
    [Question::Heads, Question::Tree, Question::Commit, Question::Changes, Question::Status];

enum Server {
    Hub(github::GitHub),
    Lab(gitlab::GitLab),
}

/// A forge with the repository `old/app`, whose branch `main` has two commits.
pub(crate) struct Site {
    server: Server,
    repo: BareRepo,
    pub(crate) commits: [String; 2],
    dir: TempDir,
}

impl Site {
    /// What a way is made for: a GitLab or a GitHub.
    pub(crate) fn start(way: Way) -> Self {
        Self::start_tls(way, None)
    }

    /// The same over TLS.
    pub(crate) fn start_tls(way: Way, tls: Option<&Tls>) -> Self {
        let dir = TempDir::new().unwrap();
        let repo = BareRepo::create(dir.path(), "old/app.git");
        let commit = |text| repo.commit("main", &[(".tekton/run.yaml", text)], text);
        let commits = [commit("one"), commit("two")];
        let tls = tls.map(Tls::server);
        let options = ForgeOptions { enterprise: true, tls, ..ForgeOptions::default() };
        let server = if way.is_lab() {
            Server::Lab(gitlab::GitLab::start(dir.path(), options))
        } else {
            Server::Hub(github::GitHub::start(dir.path(), options))
        };
        match &server {
            Server::Hub(hub) => hub.tokens().grant(TOKEN),
            Server::Lab(lab) => lab.tokens().grant(TOKEN),
        }
        Self { server, repo, commits, dir }
    }

    pub(crate) fn http(&self) -> &HttpServer {
        match &self.server {
            Server::Hub(hub) => hub.http(),
            Server::Lab(lab) => lab.http(),
        }
    }

    /// Renames the repository to `new/app`; the old name is answered with this status.
    pub(crate) fn rename(&mut self, status: u16) {
        match &self.server {
            Server::Hub(hub) => {
                hub.rename("old/app", "new/app");
                hub.redirect_by(status);
            }
            Server::Lab(lab) => {
                lab.rename("old/app", "new/app");
                lab.redirect_by(status);
            }
        }
        self.repo = BareRepo::open(self.dir.path().join("new/app.git"));
    }

    pub(crate) fn push(&self) -> String {
        self.repo.commit("main", &[(".tekton/run.yaml", "three")], "three")
    }

    pub(crate) fn url(&self) -> RepoUrl {
        format!("{}/old/app", self.http().origin()).parse().unwrap()
    }

    /// What the client learns, as a short text.
    pub(crate) async fn ask(
        &self,
        forge: &ForgePorts,
        question: Question,
    ) -> Result<String, ForgeError> {
        ask(forge, question, &self.url(), &self.commits).await
    }
}

/// The question about `main` of a repository.
pub(crate) fn heads_query(repo: &RepoUrl, validator: Option<Validator>) -> HeadsQuery {
    HeadsQuery {
        repo: repo.clone(),
        subjects: BranchSelector::new(["main"]).unwrap().into(),
        validator,
    }
}

/// What the client learns about a repository with these two commits, as a short text.
pub(crate) async fn ask(
    forge: &ForgePorts,
    question: Question,
    url: &RepoUrl,
    commits: &[String; 2],
) -> Result<String, ForgeError> {
    let repo = url.clone();
    let (from, to) = (Base::Commit(commits[0].parse().unwrap()), sample::at("main", &commits[1]));
    let timeout = Duration::from_secs(60);
    Ok(match question {
        Question::Heads => match forge.heads.heads(&[heads_query(url, None)]).await.remove(0)? {
            HeadsAnswer::NotModified => panic!("nothing was known before"),
            HeadsAnswer::Heads(heads) => format!("{:?}", heads.heads),
        },
        Question::Tree => {
            let (dir, limits) = (".tekton".parse().unwrap(), TreeLimits::default());
            let query = TreeQuery { repo, revision: to, dir, limits, timeout };
            format!("{:?}", forge.source.tree(&query).await?.files)
        }
        Question::Commit => {
            format!("{:?}", forge.source.commit(url, &to).await?)
        }
        Question::Changes => {
            let query = ChangesQuery { repo, from, to, timeout };
            format!("{:?}", forge.source.changes(&query).await?.paths)
        }
        Question::Status => {
            let status = CommitStatus {
                revision: to,
                context: "sentry/qa".to_owned(),
                state: StatusState::Success,
                description: "all is well".to_owned(),
                link: None,
                delivery: Some(DeliveryId::new(SystemClock.now(), 1)),
                subjects: vec![sample::subject("main")],
            };
            forge.reporter.as_ref().unwrap().set_status(url, &status).await?;
            "shown".to_owned()
        }
    })
}
