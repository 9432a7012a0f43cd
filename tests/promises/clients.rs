//! The real clients of all kinds of forges, and what a whole answer to each of their questions is.

use std::sync::Arc;

use sentry_core::forge::{ForgePorts, HeadsQuery, Validator};
use sentry_core::secret::Redactor;
use sentry_core::watch::BranchSelector;
use sentry_forge::credential::Credential;
use sentry_forge::git::{GitForge, GitSettings, Transport, TransportSettings};
use sentry_forge::github::{GitHubAuth, GitHubSettings};
use sentry_forge::gitlab::{GitLabSettings, GitLabToken};
use sentry_forge::http::{Http, HttpSettings};
use sentry_forge::{Hosted, Polling};
use serde_json::json;

/// A kind of forge, and how it is asked for heads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    GitHub,
    GitLab,
    /// GitHub, asked by `ls-refs`.
    GitHubByGit,
    Git,
}

pub(crate) const KINDS: [Kind; 4] = [Kind::GitHub, Kind::GitLab, Kind::GitHubByGit, Kind::Git];

/// What clients share; its redactor learns every token that they use.
pub(crate) fn network() -> Http {
    Http::new(&HttpSettings::new(Redactor::new())).unwrap()
}

impl Kind {
    /// A client called `forge`, for a server at `origin`.
    pub(crate) fn client(self, http: &Http, origin: &str, credential: Credential) -> ForgePorts {
        let (name, http) = ("forge".to_owned(), http.clone());
        let git = Transport::new(TransportSettings::new(http.settings().clone()));
        let polling = if self == Self::GitHubByGit { Polling::Git } else { Polling::Auto };
        let report = None;
        match self {
            Self::GitHub | Self::GitHubByGit => {
                let api = Some(format!("{origin}/api/v3").parse().unwrap());
                let auth = GitHubAuth::Token(credential);
                let settings = GitHubSettings { name, api, auth, report, polling, http, git };
                ForgePorts::with_statuses(Arc::new(Hosted::github(settings).unwrap()))
            }
            Self::GitLab => {
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
            Self::Git => {
                let (username, transport) = ("git".to_owned(), Arc::new(git));
                let settings = GitSettings { name, credential, username, http, transport };
                ForgePorts::new(Arc::new(GitForge::new(settings)))
            }
        }
    }

    /// True if heads are asked for at the API.
    pub(crate) fn by_api(self) -> bool {
        matches!(self, Self::GitHub | Self::GitLab)
    }
}

/// The repository `o/r` of a server.
pub(crate) fn repo(origin: &str) -> String {
    format!("{origin}/o/r.git")
}

pub(crate) fn query(repo: &str, branches: &[&str], validator: Option<Validator>) -> HeadsQuery {
    let branches = BranchSelector::new(branches.iter().copied()).unwrap();
    HeadsQuery { repo: repo.parse().unwrap(), subjects: branches.into(), validator }
}

/// An answer of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Whole {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
}

impl Whole {
    fn new(status: u16, kind: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: vec![("content-type", kind.to_owned())], body: body.into() }
    }

    pub(crate) fn json(status: u16, body: &serde_json::Value) -> Self {
        Self::new(status, JSON, body.to_string())
    }
}

pub(crate) const JSON: &str = "application/json; charset=utf-8";
pub(crate) const REFS: &str = "application/x-git-upload-pack-result";
pub(crate) const SHA: &str = "application/vnd.github.sha; charset=utf-8";

/// The answer of a server whose repository `o/r` has these branches (names without a slash).
pub(crate) fn whole(origin: &str, heads: &[(&str, &str)], path: &str, held: Option<&str>) -> Whole {
    if path.ends_with("/git-upload-pack") {
        return Whole::new(200, REFS, ref_list(heads));
    }
    let named = |branch: &str| heads.iter().find(|(name, _)| *name == branch);
    let mut answer = if let Some((_, branch)) = path.split_once("/commits/heads%2F") {
        match named(branch) {
            Some((_, sha)) => Whole::new(200, SHA, *sha),
            None => Whole::json(
                422,
                &json!({"message": format!("No commit found for SHA: heads/{branch}"),
                "documentation_url": "https://docs.github.com/rest/commits/commits#get-a-commit", "status": "422"}),
            ),
        }
    } else if let Some((_, branch)) = path.split_once("/repository/branches/") {
        match named(branch) {
            Some((_, sha)) => Whole::json(
                200,
                &json!({"name": branch, "merged": false, "protected": true, "default": true,
                "can_push": false, "web_url": format!("{origin}/o/r/-/tree/{branch}"),
                "commit": {"id": sha, "short_id": &sha[..8], "title": "Work", "message": "Work\n", "author_name": "Ada",
                    "created_at": "2026-01-01T00:00:00.000+00:00", "parent_ids": ["3".repeat(40)]}}),
            ),
            None => Whole::json(404, &json!({"message": "404 Branch Not Found"})),
        }
    } else {
        Whole::json(
            200,
            &json!({"id": 7, "full_name": "o/r", "path_with_namespace": "o/r", "default_branch": "main",
            "private": true, "clone_url": format!("{origin}/o/r.git"), "http_url_to_repo": format!("{origin}/o/r.git")}),
        )
    };
    if answer.status == 200 {
        let sha =
            heads.iter().find(|(name, _)| path.ends_with(name)).map_or("none", |(_, sha)| *sha);
        let etag = format!("\"{sha}\"");
        if held == Some(etag.as_str()) {
            (answer.status, answer.body) = (304, Vec::new());
        }
        answer.headers.push(("etag", etag));
    }
    answer
}

fn ref_list(heads: &[(&str, &str)]) -> Vec<u8> {
    let packet = |text: String| format!("{:04x}{text}", text.len() + 4);
    let head = packet(format!("{} HEAD symref-target:refs/heads/main\n", heads[0].1));
    let refs = heads.iter().map(|(name, sha)| packet(format!("{sha} refs/heads/{name}\n")));
    format!("{head}{}0000", refs.collect::<String>()).into_bytes()
}
