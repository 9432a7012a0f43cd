//! Statuses sent to the servers that stand for GitHub and GitLab, by the forges' real clients, and what those show then.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use sentry_core::forge::{CommitStatus, Reporter as _};
use sentry_core::repo::RepoUrl;
use sentry_core::revision::Revision;
use sentry_core::secret::{Redactor, Secret};
use sentry_forge::credential::Credential;
use sentry_forge::git::{Transport, TransportSettings};
use sentry_forge::github::{GitHubAuth, GitHubSettings};
use sentry_forge::http::{Http, HttpSettings};
use sentry_forge::{Hosted, Polling};
use sentry_tests::forges::{ForgeOptions, PostedStatus, github, gitlab};
use sentry_tests::repo::BareRepo;

use crate::forges::{TOKEN, Way, token};

/// What the forges show of one commit in the end.
pub(super) struct Shown {
    /// GitHub's statuses, by context.
    pub(super) statuses: BTreeMap<String, String>,
    /// The conclusion of GitHub's newest check run of each name; `in_progress` where any of that name is left open.
    pub(super) check_runs: BTreeMap<String, String>,
    /// GitLab's statuses, by branch and name.
    pub(super) by_branch: BTreeMap<(String, String), String>,
}

/// Sends them in order to fresh forges, as if they were about a commit that those have.
pub(super) async fn show(statuses: &[CommitStatus]) -> Shown {
    let dir = tempfile::tempdir().unwrap();
    let repo = BareRepo::create(dir.path(), "o/r.git");
    let sha = repo.commit("main", &[("a", "b")], "all");
    let options = ForgeOptions { enterprise: true, ..ForgeOptions::default() };
    let hub = github::GitHub::start(dir.path(), options.clone());
    let lab = gitlab::GitLab::start(dir.path(), options);
    hub.tokens().grant(TOKEN);
    lab.tokens().grant(TOKEN);
    let by_token = Way::HubApi.client(&hub.http().origin(), token());
    let by_app = app(&hub.http().origin());
    let to_lab = Way::LabApi.client(&lab.http().origin(), token());
    let hub_url: RepoUrl = hub.clone_url("o/r").parse().unwrap();
    let lab_url: RepoUrl = lab.clone_url("o/r").parse().unwrap();
    for status in statuses {
        let revision = Revision { sha: sha.parse().unwrap(), ..status.revision.clone() };
        let status = CommitStatus { revision, ..status.clone() };
        by_token.reporter.as_ref().unwrap().set_status(&hub_url, &status).await.unwrap();
        by_app.set_status(&hub_url, &status).await.unwrap();
        to_lab.reporter.as_ref().unwrap().set_status(&lab_url, &status).await.unwrap();
    }
    let text = |status: &PostedStatus, key: &str| status.body[key].as_str().unwrap().to_owned();
    let mut check_runs = BTreeMap::new();
    for run in hub.check_runs() {
        let (name, end) = (run["name"].as_str().unwrap(), run["conclusion"].as_str());
        let shown = check_runs.entry(name.to_owned()).or_insert_with(String::new);
        if shown != "in_progress" {
            end.unwrap_or("in_progress").clone_into(shown);
        }
    }
    let posted = hub.statuses();
    let lab_posted = lab.statuses();
    Shown {
        statuses: posted.iter().map(|s| (text(s, "context"), text(s, "state"))).collect(),
        check_runs,
        by_branch: lab_posted
            .iter()
            .map(|s| ((text(s, "ref"), text(s, "name")), text(s, "state")))
            .collect(),
    }
}

/// The client of a GitHub App, whose statuses are check runs.
fn app(origin: &str) -> Hosted {
    static KEY: OnceLock<String> = OnceLock::new();
    let key = KEY.get_or_init(|| {
        rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap().serialize_pem()
    });
    let network = HttpSettings::new(Redactor::new());
    let http = Http::new(&network).unwrap();
    let git = Transport::new(TransportSettings::new(network));
    let key = Credential::Token(Secret::new(key).into());
    Hosted::github(GitHubSettings {
        name: "forge".to_owned(),
        api: Some(format!("{origin}/api/v3").parse().unwrap()),
        auth: GitHubAuth::App { app_id: 1, installation_id: 42, key },
        report: None,
        polling: Polling::Api,
        http,
        git,
    })
    .unwrap()
}
