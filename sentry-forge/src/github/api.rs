//! GitHub's requests and answers: <https://docs.github.com/en/rest/commits>

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use http::{HeaderName, HeaderValue, StatusCode, header};
use sentry_core::clock::Timestamp;
use sentry_core::forge::{Audience, CommitInfo, CommitStatus, ForgeError};
use sentry_core::pull::PullRequest;
use sentry_core::repo::{BranchName, CommitSha, RepoPath, RepoUrl};
use sentry_core::secret::Secret;
use serde::Deserialize;
use tokio::time::Instant;
use url::Url;

use super::GitHubAuth;
use super::app::{App, Grant};
use super::{checks, reporting};
use crate::credential::{Credential, bearer};
use crate::hosted::Hosted;
use crate::hosted::api::{
    Absence, Api, Call, Compared, PullsPage, RepoFacts, RepoRef, Resource, base, content_type,
    json, message, number_after, origin, plain_status, segment, shown_type, time,
};
use crate::hosted::pulls::{PAGE, Told};
use crate::http::{Answer, Http};
use crate::rate_limit::Right;

/// Files that a comparison names at most.
/// <https://docs.github.com/en/rest/commits/commits#compare-two-commits>
const COMPARED_FILES: usize = 300;
/// How long an App that may make no check runs sets statuses instead, until it is tried again.
const WITHOUT_CHECKS: Duration = Duration::from_secs(3600);

#[derive(Debug)]
pub(super) struct GitHubApi {
    base: Url,
    web: String,
    credential: Credential,
    app: Option<Apps>,
    /// The credential that sets statuses, where it is not the other one.
    report: Option<Credential>,
}

/// An installation's tokens, each for one thing.
#[derive(Debug)]
pub(super) struct Apps {
    contents: App,
    pulls: App,
    checks: App,
    statuses: App,
    without_checks_until: Mutex<Option<Instant>>,
    made: checks::Made,
}

impl Apps {
    fn new(name: &str, app_id: u64, installation_id: u64) -> Self {
        let app = |permission, access, shown| {
            App::new(name, app_id, installation_id, Grant { permission, access, shown })
        };
        Self {
            contents: app("contents", "read", "Contents"),
            pulls: app("pull_requests", "read", "Pull requests"),
            checks: app("checks", "write", "Checks"),
            statuses: app("statuses", "write", "Commit statuses"),
            without_checks_until: Mutex::default(),
            made: checks::Made::default(),
        }
    }

    /// Remembers that the App may make no check runs.
    fn do_without_checks(&self) {
        let mut until = self.without_checks_until.lock().unwrap_or_else(PoisonError::into_inner);
        *until = Some(Instant::now() + WITHOUT_CHECKS);
    }

    fn of(&self, right: Right) -> &App {
        match right {
            Right::Read => &self.contents,
            Right::Pulls => &self.pulls,
            Right::Checks => &self.checks,
            Right::Statuses => &self.statuses,
        }
    }
}

#[derive(Deserialize)]
struct Repository {
    id: u64,
    full_name: String,
    clone_url: String,
    default_branch: Option<String>,
    #[serde(default)]
    permissions: std::collections::BTreeMap<String, bool>,
    /// False for internal ones of an enterprise as well.
    private: Option<bool>,
    visibility: Option<String>,
}

impl Repository {
    fn audience(&self) -> Audience {
        match (self.visibility.as_deref(), self.private) {
            (Some("private" | "internal"), _) | (None, Some(true)) => Audience::Members,
            (Some("public"), _) | (None, Some(false)) => Audience::Public,
            _ => Audience::Unknown,
        }
    }
}

#[derive(Deserialize)]
struct Comparison {
    base_commit: CommitId,
    merge_base_commit: CommitId,
    files: Vec<ComparedFile>,
}

#[derive(Deserialize)]
struct CommitId {
    sha: String,
}

#[derive(Deserialize)]
struct ComparedFile {
    filename: String,
    status: String,
    previous_filename: Option<String>,
}

impl ComparedFile {
    fn paths(self) -> impl Iterator<Item = String> {
        // A copy's source is as it was.
        let before = self.previous_filename.filter(|_| self.status != "copied");
        [Some(self.filename), before].into_iter().flatten()
    }
}

#[derive(Deserialize)]
struct Pull {
    number: u64,
    title: String,
    state: String,
    #[serde(default)]
    draft: bool,
    user: Option<Account>,
    labels: Vec<Label>,
    head: PullSide,
    base: PullSide,
    updated_at: Timestamp,
}

#[derive(Deserialize)]
struct Label {
    name: String,
}

/// `repo` is `null` once the fork is deleted.
#[derive(Deserialize)]
struct PullSide {
    #[serde(rename = "ref")]
    branch: String,
    sha: String,
    repo: Option<PullRepo>,
}

#[derive(Deserialize)]
struct PullRepo {
    id: u64,
}

impl Pull {
    fn told(self) -> Option<Told> {
        let id = |side: &PullSide| side.repo.as_ref().map(|repo| repo.id);
        let pull = PullRequest {
            number: self.number.into(),
            title: self.title,
            author: self.user.and_then(|user| user.login).unwrap_or_default(),
            is_draft: self.draft,
            labels: self.labels.into_iter().map(|label| label.name).collect(),
            is_fork: id(&self.head).is_none() || id(&self.head) != id(&self.base),
            head: self.head.sha.parse().ok()?,
            source_branch: self.head.branch.parse().ok()?,
            target_branch: self.base.branch.parse().ok()?,
        };
        Some(Told { pull, is_open: self.state == "open", updated: self.updated_at })
    }
}

#[derive(Deserialize)]
struct SetStatus {
    #[serde(rename = "state")]
    _state: String,
    #[serde(rename = "context")]
    _context: String,
}

#[derive(Deserialize)]
struct Commit {
    sha: String,
    commit: CommitText,
    author: Option<Account>,
}

#[derive(Deserialize)]
struct CommitText {
    message: String,
    author: Option<Person>,
    committer: Option<Committer>,
}

#[derive(Deserialize)]
struct Person {
    name: String,
}

#[derive(Deserialize)]
struct Committer {
    date: Option<String>,
}

/// `{}` is an author without an account.
#[derive(Deserialize)]
struct Account {
    login: Option<String>,
}

impl GitHubApi {
    pub(super) fn new(
        name: &str,
        api: Option<Url>,
        auth: GitHubAuth,
        report: Option<Credential>,
    ) -> Result<Self, ForgeError> {
        let (base, web) = match api {
            Some(api) => {
                let base = base(name, api)?;
                let web = web_origin(&base);
                (base, web)
            }
            None => (
                Url::parse("https://api.github.com/").map_err(|e| {
                    ForgeError::new(sentry_core::forge::ForgeErrorKind::Local, name).with_source(e)
                })?,
                "https://github.com".to_owned(),
            ),
        };
        let (credential, app) = match auth {
            GitHubAuth::Token(credential) => (credential, None),
            GitHubAuth::App { app_id, installation_id, key } => {
                (key, Some(Apps::new(name, app_id, installation_id)))
            }
        };
        Ok(Self { base, web, credential, app, report })
    }

    /// The installation, if statuses are shown as check runs, which only Apps may make.
    pub(super) fn makes_checks(&self) -> Option<&Apps> {
        let apps = self.app.as_ref().filter(|_| self.report.is_none())?;
        let until = *apps.without_checks_until.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_none_or(|until| until <= Instant::now()).then_some(apps)
    }

    /// The installation whose tokens have this right, if the right is an App's.
    fn app(&self, right: Right) -> Option<&App> {
        let own = !right.reports() || self.report.is_none();
        self.app.as_ref().filter(|_| own).map(|apps| apps.of(right))
    }
}

/// The hosted services keep API and repositories on two hosts, GitHub Enterprise Server on one.
fn web_origin(base: &Url) -> String {
    let host = base.host_str().unwrap_or_default();
    match host.strip_prefix("api.") {
        Some(web) if web == "github.com" || web.ends_with(".ghe.com") => format!("https://{web}"),
        _ => origin(base),
    }
}

#[async_trait]
impl Api for GitHubApi {
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

    async fn token(
        &self,
        http: &Http,
        secret: &Secret,
        right: Right,
    ) -> Result<Secret, ForgeError> {
        match self.app(right) {
            Some(app) => app.token(&self.base, http, secret).await,
            None => Ok(secret.clone()),
        }
    }

    async fn drop_token(&self, right: Right, refused: &Secret) -> bool {
        let Some(app) = self.app(right) else { return false };
        app.drop_token(refused).await;
        true
    }

    fn authorization(
        &self,
        token: &Secret,
        _: Right,
    ) -> Result<(HeaderName, HeaderValue), ForgeError> {
        Ok((header::AUTHORIZATION, bearer(token)?))
    }

    async fn clone_token(
        &self,
        http: &Http,
        secret: &Secret,
        repo: &RepoPath,
    ) -> Result<Secret, ForgeError> {
        match self.app(Right::Read) {
            Some(app) => app.token_for(&self.base, http, secret, repo.name()).await,
            None => Ok(secret.clone()),
        }
    }

    fn makes_clone_tokens(&self) -> bool {
        self.app(Right::Read).is_some()
    }

    fn git_user(&self) -> &'static str {
        "x-access-token"
    }

    fn path(&self, place: &RepoRef, wanted: &Resource) -> Result<String, String> {
        let repo = match place {
            RepoRef::Id(id) => format!("repositories/{id}"),
            RepoRef::Path(path) if path.owner().is_empty() || path.owner().contains('/') => {
                return Err("a GitHub repository is named OWNER/NAME".to_owned());
            }
            RepoRef::Path(path) => {
                format!("repos/{}/{}", segment(path.owner()), segment(path.name()))
            }
        };
        Ok(match wanted {
            Resource::Repo => repo,
            Resource::Head(branch) => {
                format!("{repo}/commits/{}", segment(&format!("heads/{branch}")))
            }
            // One file is the least that GitHub can be asked for besides the commit.
            Resource::Commit(sha) => format!("{repo}/commits/{sha}?per_page=1"),
            // The first page holds all files, however few of the commits it holds.
            Resource::Compare(from, to) => {
                format!("{repo}/compare/{from}...{to}?per_page=1&page=1")
            }
            Resource::CompareWithBase(branch, sha) => {
                let branch = segment(branch.as_str());
                format!("{repo}/compare/{branch}...{sha}?per_page=1&page=1")
            }
            Resource::Pulls(PullsPage { only_open, page, since: _ }) => {
                let which = if *only_open {
                    "state=open&sort=created&direction=asc"
                } else {
                    "state=all&sort=updated&direction=desc"
                };
                format!("{repo}/pulls?{which}&per_page={PAGE}&page={page}")
            }
            Resource::Token => return Err("GitHub has no such request".to_owned()),
            Resource::Report(call) => format!("{repo}/{}", call.tail),
        })
    }

    fn accept(&self, wanted: &Resource) -> &'static str {
        match wanted {
            Resource::Head(_) => "application/vnd.github.sha",
            _ => "application/vnd.github+json",
        }
    }

    fn read_head(&self, answer: &Answer, _: &BranchName) -> Result<CommitSha, String> {
        let kind = content_type(answer);
        if !(kind.starts_with("application/vnd.github.") || kind == "text/plain") {
            return Err(format!("the answer is {} instead of a commit id", shown_type(&kind)));
        }
        let text = std::str::from_utf8(&answer.body).unwrap_or_default().trim();
        text.parse().map_err(|_| "the answer is not a commit id".to_owned())
    }

    fn absence(&self, answer: &Answer) -> Absence {
        let message = message(answer);
        match answer.status {
            StatusCode::UNPROCESSABLE_ENTITY if message.starts_with("No commit found for") => {
                Absence::Certain
            }
            StatusCode::CONFLICT if message.starts_with("Git Repository is empty") => {
                Absence::Certain
            }
            StatusCode::NOT_FOUND if !message.is_empty() => Absence::Unclear,
            _ => Absence::NoAnswer,
        }
    }

    fn read_repo(&self, answer: &Answer) -> Result<RepoFacts, String> {
        let repo: Repository = json(answer)?;
        let granted = repo.permissions.iter().filter(|(_, granted)| **granted);
        let mut rights = granted.map(|(right, _)| right.as_str()).collect::<Vec<_>>().join(", ");
        // Classic tokens list their scopes in a header, others show nothing more.
        if let Some(scopes) = answer.headers.get("x-oauth-scopes").and_then(|v| v.to_str().ok()) {
            rights = format!("{rights}; scopes: {scopes}");
        }
        if rights.is_empty() {
            "unknown".clone_into(&mut rights);
        }
        Ok(RepoFacts {
            audience: repo.audience(),
            id: repo.id,
            path: repo.full_name,
            url: repo.clone_url,
            default_branch: repo.default_branch,
            rights,
        })
    }

    fn read_commit(&self, answer: &Answer) -> Result<(CommitSha, CommitInfo), String> {
        let commit: Commit = json(answer)?;
        let sha = commit.sha.parse().map_err(|_| "the answer holds no commit id".to_owned())?;
        let login = commit.author.and_then(|account| account.login);
        let author = login.or(commit.commit.author.map(|person| person.name)).unwrap_or_default();
        let committed = commit.commit.committer.and_then(|person| time(person.date.as_deref()));
        Ok((sha, CommitInfo { message: commit.commit.message, author, committed }))
    }

    /// GitHub compares the newer commit with what both have in common. That is the older commit itself unless
    /// history was rewritten.
    fn read_changes(
        &self,
        answer: &Answer,
        from: &CommitSha,
        _: &CommitSha,
    ) -> Result<Compared, String> {
        let comparison: Comparison = json(answer)?;
        if comparison.base_commit.sha != from.as_str() {
            return Err("compares a different commit than requested".to_owned());
        }
        let files = comparison.files;
        let whole =
            comparison.merge_base_commit.sha == from.as_str() && files.len() < COMPARED_FILES;
        Ok(Compared { paths: files.into_iter().flat_map(ComparedFile::paths).collect(), whole })
    }

    /// <https://docs.github.com/en/rest/pulls/pulls#list-pull-requests>
    fn read_pulls(&self, answer: &Answer) -> Result<Vec<Told>, String> {
        Ok(json::<Vec<Pull>>(answer)?.into_iter().filter_map(Pull::told).collect())
    }

    fn read_changes_since_base(&self, answer: &Answer) -> Result<Compared, String> {
        let files = json::<Comparison>(answer)?.files;
        let whole = files.len() < COMPARED_FILES;
        Ok(Compared { paths: files.into_iter().flat_map(ComparedFile::paths).collect(), whole })
    }

    fn status(&self, status: &CommitStatus) -> Vec<Call> {
        vec![plain_status(status)]
    }

    fn read_status(&self, answer: &Answer) -> Result<(), String> {
        json::<SetStatus>(answer).map(drop)
    }

    async fn show_check(
        &self,
        hosted: &Hosted,
        repo: &RepoUrl,
        status: &CommitStatus,
    ) -> Option<Result<(), ForgeError>> {
        let apps = self.makes_checks()?;
        match checks::show(hosted, &apps.made, apps.checks.id(), repo, status).await {
            Err(error) if checks::may_not(&error) => {
                apps.do_without_checks();
                None
            }
            shown => Some(shown),
        }
    }

    fn lacks_commit(&self, answer: &Answer) -> bool {
        answer.status == StatusCode::UNPROCESSABLE_ENTITY
            && message(answer).starts_with("No commit found for SHA")
    }

    fn remedy(&self, right: Right) -> &'static str {
        match right {
            Right::Read => "give the token Contents: read",
            Right::Pulls => "give the token, or the App's installation, Pull requests: read",
            Right::Checks => "grant the App's installation Checks: write",
            Right::Statuses if self.app(right).is_some() => {
                "grant the App's installation Checks: write, or Commit statuses: write"
            }
            Right::Statuses => {
                "give the token Commit statuses: write (fine-grained) or the scope repo:status (classic) \
                 and its owner write access to the repository, or set the forge's report_token"
            }
        }
    }

    async fn reporting(
        &self,
        hosted: &Hosted,
        repo: &RepoUrl,
    ) -> Result<(Option<bool>, String), ForgeError> {
        reporting::ask(self, hosted, repo).await
    }

    fn moved_to(&self, path: &str) -> Option<u64> {
        number_after(path, "repositories/")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api(base: Option<&str>) -> GitHubApi {
        let base = base.map(|url| url.parse().unwrap());
        GitHubApi::new("github", base, GitHubAuth::Token(Credential::Anonymous), None).unwrap()
    }

    fn path(repo: &str, branch: &str) -> Result<String, String> {
        let repo: sentry_core::repo::RepoUrl = repo.parse().unwrap();
        api(None).path(&RepoRef::Path(repo.path()), &Resource::Head(branch.parse().unwrap()))
    }

    #[test]
    fn branches_are_percent_encoded_as_one_segment() {
        let at = |branch| path("https://github.com/o/r.git", branch).unwrap();
        assert_eq!(at("main"), "repos/o/r/commits/heads%2Fmain");
        assert_eq!(at("fix#1"), "repos/o/r/commits/heads%2Ffix%231");
        assert_eq!(at("release/1.0"), "repos/o/r/commits/heads%2Frelease%2F1.0");
        assert_eq!(at("a+b%20ü"), "repos/o/r/commits/heads%2Fa%2Bb%2520%C3%BC");
    }

    #[test]
    fn a_repository_without_owner_or_with_a_group_is_refused() {
        assert!(path("https://github.com/r", "main").is_err());
        assert!(path("https://github.com/g/s/r", "main").is_err());
    }

    #[test]
    fn the_origin_of_repositories_follows_from_the_api() {
        assert_eq!(api(None).web_origin(), "https://github.com");
        for (base, web) in [
            ("https://api.github.com", "https://github.com"),
            ("https://api.octo.ghe.com", "https://octo.ghe.com"),
            ("https://ghes.example.com/api/v3", "https://ghes.example.com"),
            ("http://127.0.0.1:8080/api/v3/", "http://127.0.0.1:8080"),
        ] {
            assert_eq!(api(Some(base)).web_origin(), web);
        }
        let plain = Some("http://ghes.example.com".parse().unwrap());
        let auth = GitHubAuth::Token(Credential::Anonymous);
        assert!(GitHubApi::new("github", plain, auth, None).is_err());
    }
}
