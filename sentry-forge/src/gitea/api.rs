//! The requests and answers of Gitea, and of Forgejo, which has kept them:
//! <https://github.com/go-gitea/gitea/blob/main/templates/swagger/v1_json.tmpl>

use async_trait::async_trait;
use http::{HeaderName, HeaderValue, StatusCode, header};
use sentry_core::clock::Timestamp;
use sentry_core::forge::{Audience, CommitInfo, CommitStatus, ForgeError, ForgeErrorKind};
use sentry_core::pull::PullRequest;
use sentry_core::repo::{CommitSha, RepoUrl};
use sentry_core::secret::Secret;
use serde::Deserialize;
use url::Url;

use super::probe;
use crate::credential::{Credential, header as sensitive};
use crate::hosted::api::{
    Absence, Api, Call, NOT_ASKED, PullsPage, RepoFacts, RepoRef, Resource, base, below, json,
    message, origin, plain_status, time,
};
use crate::hosted::pulls::{PAGE, Told};
use crate::hosted::{Hosted, Probe};
use crate::http::Answer;
use crate::rate_limit::Right;

#[derive(Debug)]
pub(super) struct GiteaApi {
    base: Url,
    web: String,
    /// The path that the instance lives under, without slashes at its ends; mostly empty.
    root: String,
    credential: Credential,
    /// The credential that sets statuses, where it is not the other one.
    report: Option<Credential>,
}

#[derive(Deserialize)]
struct Repository {
    id: u64,
    full_name: String,
    clone_url: String,
    default_branch: Option<String>,
    #[serde(default)]
    permissions: Permissions,
    private: Option<bool>,
    /// True if it can be read by those who have an account.
    #[serde(default)]
    internal: bool,
}

/// What the token's owner may do; what its scopes leave of that is unknown.
#[derive(Deserialize, Default)]
pub(super) struct Permissions {
    #[serde(default)]
    admin: bool,
    #[serde(default)]
    pub(super) push: bool,
    #[serde(default)]
    pull: bool,
}

#[derive(Deserialize)]
struct Commit {
    sha: String,
    commit: Content,
}

#[derive(Deserialize)]
struct Content {
    message: String,
    author: Author,
    committer: Option<Committer>,
}

#[derive(Deserialize)]
struct Author {
    name: String,
}

#[derive(Deserialize)]
struct Committer {
    date: Option<String>,
}

#[derive(Deserialize)]
struct Pull {
    number: u64,
    title: String,
    state: String,
    #[serde(default)]
    draft: bool,
    user: Option<User>,
    labels: Vec<Label>,
    head: PullSide,
    base: PullSide,
    updated_at: Timestamp,
}

#[derive(Deserialize)]
struct User {
    login: String,
}

#[derive(Deserialize)]
struct Label {
    name: String,
}

/// A fork that was deleted has the number of none.
#[derive(Deserialize)]
struct PullSide {
    #[serde(rename = "ref")]
    branch: String,
    sha: String,
    repo_id: i64,
}

impl Pull {
    fn told(self) -> Option<Told> {
        let pull = PullRequest {
            number: self.number.into(),
            title: self.title,
            author: self.user.map(|user| user.login).unwrap_or_default(),
            is_draft: self.draft,
            labels: self.labels.into_iter().map(|label| label.name).collect(),
            is_fork: self.head.repo_id != self.base.repo_id,
            head: self.head.sha.parse().ok()?,
            source_branch: self.head.branch.parse().ok()?,
            target_branch: self.base.branch.parse().ok()?,
        };
        Some(Told { pull, is_open: self.state == "open", updated: self.updated_at })
    }
}

#[derive(Deserialize)]
struct SetStatus {
    #[serde(rename = "id")]
    _id: u64,
    #[serde(rename = "status")]
    _status: String,
}

impl GiteaApi {
    pub(super) fn new(
        name: &str,
        url: Url,
        credential: Credential,
        report: Option<Credential>,
    ) -> Result<Self, ForgeError> {
        let home = base(name, url)?;
        let root = home.path().trim_matches('/').to_owned();
        let base = home
            .join("api/v1/")
            .map_err(|e| ForgeError::new(ForgeErrorKind::Local, name).with_source(e))?;
        Ok(Self { web: origin(&home), base, root, credential, report })
    }

    fn repository(&self, place: &RepoRef) -> Result<String, String> {
        match place {
            RepoRef::Id(id) => Ok(format!("repositories/{id}")),
            RepoRef::Path(path) => below(&self.root, path)
                .filter(|path| path.split('/').count() == 2)
                .map(|path| format!("repos/{path}"))
                .ok_or_else(|| "a Gitea repository is named OWNER/NAME".to_owned()),
        }
    }
}

#[async_trait]
impl Api for GiteaApi {
    fn base(&self) -> &Url {
        &self.base
    }

    fn web_origin(&self) -> &str {
        &self.web
    }

    fn credential(&self, right: Right) -> &Credential {
        self.report.as_ref().filter(|_| right.reports()).unwrap_or(&self.credential)
    }

    fn reports_apart(&self) -> bool {
        self.report.is_some()
    }

    /// Its answers have no validator, and its comparison lists no paths: git gives both for less.
    fn reads_branches(&self) -> bool {
        false
    }

    fn authorization(
        &self,
        token: &Secret,
        _: Right,
    ) -> Result<(HeaderName, HeaderValue), ForgeError> {
        Ok((header::AUTHORIZATION, sensitive(&format!("token {}", token.expose()))?))
    }

    /// Any: a token sent as the password says who it is.
    fn git_user(&self) -> &'static str {
        "git"
    }

    fn path(&self, place: &RepoRef, wanted: &Resource) -> Result<String, String> {
        let repo = self.repository(place)?;
        match wanted {
            Resource::Repo => Ok(repo),
            Resource::Commit(sha) => {
                let query = "stat=false&verification=false&files=false";
                Ok(format!("{repo}/git/commits/{sha}?{query}"))
            }
            Resource::Report(call) => Ok(format!("{repo}/{}", call.tail)),
            Resource::Pulls(PullsPage { only_open, page, since: _ }) => {
                let which = if *only_open {
                    "state=open&sort=oldest"
                } else {
                    "state=all&sort=recentupdate"
                };
                Ok(format!("{repo}/pulls?{which}&page={page}&limit={PAGE}"))
            }
            Resource::Head(_)
            | Resource::Compare(..)
            | Resource::CompareWithBase(..)
            | Resource::Token => Err(NOT_ASKED.to_owned()),
        }
    }

    fn accept(&self, _: &Resource) -> &'static str {
        "application/json"
    }

    fn absence(&self, answer: &Answer) -> Absence {
        // The same words are said of a repository and of a commit.
        match answer.status {
            StatusCode::NOT_FOUND if !message(answer).is_empty() => Absence::Unclear,
            _ => Absence::NoAnswer,
        }
    }

    fn read_repo(&self, answer: &Answer) -> Result<RepoFacts, String> {
        let repo: Repository = json(answer)?;
        let path = match self.root.as_str() {
            "" => repo.full_name,
            root => format!("{root}/{}", repo.full_name),
        };
        let audience = match repo.private {
            Some(true) => Audience::Members,
            Some(false) if repo.internal => Audience::Members,
            Some(false) => Audience::Public,
            None => Audience::Unknown,
        };
        let Permissions { admin, push, pull } = repo.permissions;
        let rights = [(admin, "admin"), (push, "push"), (pull, "pull")];
        let rights: Vec<&str> =
            rights.into_iter().filter(|(has, _)| *has).map(|(_, name)| name).collect();
        Ok(RepoFacts {
            id: repo.id,
            path,
            url: repo.clone_url,
            default_branch: repo.default_branch.filter(|name| !name.is_empty()),
            audience,
            rights: if rights.is_empty() { "unknown".to_owned() } else { rights.join(", ") },
        })
    }

    fn read_commit(&self, answer: &Answer) -> Result<(CommitSha, CommitInfo), String> {
        let Commit { sha, commit } = json(answer)?;
        let sha = sha.parse().map_err(|_| "the answer holds no commit id".to_owned())?;
        let committed = commit.committer.and_then(|person| time(person.date.as_deref()));
        Ok((sha, CommitInfo { message: commit.message, author: commit.author.name, committed }))
    }

    fn read_pulls(&self, answer: &Answer) -> Result<Vec<Told>, String> {
        Ok(json::<Vec<Pull>>(answer)?.into_iter().filter_map(Pull::told).collect())
    }

    /// `warning` would hold merges up where it is required: what is neither good nor bad is a success.
    fn status(&self, status: &CommitStatus) -> Vec<Call> {
        vec![plain_status(status)]
    }

    fn read_status(&self, answer: &Answer) -> Result<(), String> {
        json::<SetStatus>(answer).map(drop)
    }

    /// Never: a missing commit is reported as a server error.
    fn lacks_commit(&self, _: &Answer) -> bool {
        false
    }

    fn remedy(&self, right: Right) -> &'static str {
        match right {
            Right::Read | Right::Pulls => {
                "give the token the scope read:repository, and its owner access to the repository's code"
            }
            _ => {
                "give the token the scope write:repository and its owner the right to push, or set the forge's report_token"
            }
        }
    }

    async fn reading(&self, hosted: &Hosted, repo: &RepoUrl) -> Result<Probe, ForgeError> {
        probe::reading(hosted, repo).await
    }

    async fn reporting(
        &self,
        hosted: &Hosted,
        repo: &RepoUrl,
    ) -> Result<(Option<bool>, String), ForgeError> {
        probe::reporting(self, hosted, repo).await
    }

    /// Never: a redirect names a path, and whose repository is there now is unknown.
    fn moved_to(&self, _: &str) -> Option<u64> {
        None
    }
}
