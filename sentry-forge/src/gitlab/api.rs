//! GitLab's requests and answers: <https://docs.gitlab.com/api/branches/>, <https://docs.gitlab.com/api/projects/>,
//! <https://docs.gitlab.com/api/commits/>, <https://docs.gitlab.com/api/repositories/#compare-branches-tags-or-commits>

use async_trait::async_trait;
use gitlab::api::Endpoint;
use gitlab::api::common::NameOrId;
use gitlab::api::personal_access_tokens::PersonalAccessTokenSelf;
use gitlab::api::projects::Project as ProjectEndpoint;
use gitlab::api::projects::repository::branches::Branch as BranchEndpoint;
use gitlab::api::projects::repository::commits::Commit as CommitEndpoint;
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use sentry_core::clock::Timestamp;
use sentry_core::forge::{
    Audience, CommitInfo, CommitStatus, ForgeError, ForgeErrorKind, StatusState,
};
use sentry_core::pull::PullRequest;
use sentry_core::repo::{BranchName, CommitSha, RepoUrl};
use sentry_core::secret::Secret;
use sentry_core::subject::Subject;
use serde::Deserialize;
use url::Url;

use super::{GitLabToken, reporting};
use crate::credential::{Credential, bearer, header as sensitive};
use crate::hosted::Hosted;
use crate::hosted::api::{
    Absence, Api, Call, Compared, PullsPage, RepoFacts, RepoRef, Resource, base, below,
    description, json, link, message, number_after, origin, segment, time,
};
use crate::hosted::pulls::{PAGE, Told};
use crate::http::Answer;
use crate::rate_limit::Right;

#[derive(Debug)]
pub(super) struct GitLabApi {
    base: Url,
    web: String,
    /// The path that the instance lives under, without slashes at its ends; mostly empty.
    root: String,
    credential: Credential,
    kind: GitLabToken,
    /// The credential that sets statuses, where it is not the other one. An access token, never a job's.
    report: Option<Credential>,
}

/// The longest link that a status takes, in characters.
const LINK: usize = 255;

#[derive(Deserialize)]
struct Branch {
    name: String,
    commit: CommitId,
}

#[derive(Deserialize)]
struct CommitId {
    id: String,
}

#[derive(Deserialize)]
struct Project {
    id: u64,
    path_with_namespace: String,
    http_url_to_repo: String,
    default_branch: Option<String>,
    #[serde(default)]
    permissions: Permissions,
    visibility: Option<String>,
}

impl Project {
    /// What is internal can be read by all who have an account.
    fn audience(&self) -> Audience {
        match self.visibility.as_deref() {
            Some("private" | "internal") => Audience::Members,
            Some("public") => Audience::Public,
            _ => Audience::Unknown,
        }
    }
}

#[derive(Deserialize, Default)]
pub(super) struct Permissions {
    project_access: Option<Access>,
    group_access: Option<Access>,
}

impl Permissions {
    /// The higher of the two roles, if GitLab gives one.
    pub(super) fn level(&self) -> Option<u64> {
        let both = [&self.project_access, &self.group_access];
        both.into_iter().flatten().map(|access| access.access_level).max()
    }
}

#[derive(Deserialize)]
struct Access {
    access_level: u64,
}

#[derive(Deserialize)]
struct Commit {
    id: String,
    message: String,
    author_name: String,
    committed_date: Option<String>,
}

#[derive(Deserialize)]
struct Comparison {
    diffs: Vec<Diff>,
    compare_timeout: bool,
}

#[derive(Deserialize)]
struct Diff {
    old_path: String,
    new_path: String,
}

impl Comparison {
    fn compared(self) -> Compared {
        // The flag is true as well where the number of files or of lines was too large.
        let whole = !self.compare_timeout;
        let paths = self.diffs.into_iter().flat_map(|diff| [diff.old_path, diff.new_path]);
        Compared { paths: paths.collect(), whole }
    }
}

#[derive(Deserialize)]
struct MergeRequest {
    iid: u64,
    title: String,
    state: String,
    #[serde(default)]
    draft: bool,
    author: Option<Author>,
    labels: Vec<String>,
    /// `null` until it has a commit.
    sha: Option<String>,
    source_branch: String,
    target_branch: String,
    /// `null` once the fork is deleted.
    source_project_id: Option<u64>,
    target_project_id: u64,
    updated_at: Timestamp,
}

#[derive(Deserialize)]
struct Author {
    username: String,
}

impl MergeRequest {
    fn told(self) -> Option<Told> {
        let pull = PullRequest {
            number: self.iid.into(),
            title: self.title,
            author: self.author.map(|author| author.username).unwrap_or_default(),
            is_draft: self.draft,
            labels: self.labels.into_iter().collect(),
            is_fork: self.source_project_id != Some(self.target_project_id),
            head: self.sha?.parse().ok()?,
            source_branch: self.source_branch.parse().ok()?,
            target_branch: self.target_branch.parse().ok()?,
        };
        Some(Told { pull, is_open: self.state == "opened", updated: self.updated_at })
    }
}

#[derive(Deserialize)]
struct SetStatus {
    #[serde(rename = "id")]
    _id: u64,
    #[serde(rename = "status")]
    _status: String,
}

/// The word for a state. A delivery that waits is `running`: `pending` could not be set twice either,
/// and a pipeline would seem to wait for a runner. A neutral end is `success` with its text: `skipped` can't follow
/// `running`, and holds merges up where pipelines must succeed.
fn word(state: StatusState) -> &'static str {
    match state {
        StatusState::Pending => "running",
        StatusState::Success | StatusState::Neutral => "success",
        StatusState::Failure | StatusState::Error => "failed",
        StatusState::Cancelled => "canceled",
    }
}

impl GitLabApi {
    pub(super) fn new(
        name: &str,
        url: Option<Url>,
        credential: Credential,
        kind: GitLabToken,
        report: Option<Credential>,
    ) -> Result<Self, ForgeError> {
        let bad = |e| ForgeError::new(ForgeErrorKind::Local, name).with_source(e);
        let url = url.map_or_else(|| Url::parse("https://gitlab.com/").map_err(bad), Ok)?;
        let home = base(name, url)?;
        let root = home.path().trim_matches('/').to_owned();
        let base = home.join("api/v4/").map_err(bad)?;
        Ok(Self { web: origin(&home), base, root, credential, kind, report })
    }

    /// False if the token is a job's, which opens no statuses.
    /// <https://docs.gitlab.com/ci/jobs/ci_job_token/#job-token-access>
    pub(super) fn sets_statuses(&self) -> bool {
        self.report.is_some() || self.kind != GitLabToken::Job
    }

    /// The project's path on the instance: without the path that the instance itself lives under.
    fn project<'a>(&self, place: &'a RepoRef) -> Result<NameOrId<'a>, String> {
        match place {
            RepoRef::Id(id) => Ok((*id).into()),
            RepoRef::Path(path) => below(&self.root, path)
                .filter(|path| path.contains('/'))
                .map(NameOrId::from)
                .ok_or_else(|| "a GitLab project is named GROUP/NAME".to_owned()),
        }
    }
}

#[async_trait]
impl Api for GitLabApi {
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

    fn reads_branches(&self) -> bool {
        self.kind != GitLabToken::Job
    }

    fn authorization(
        &self,
        token: &Secret,
        right: Right,
    ) -> Result<(HeaderName, HeaderValue), ForgeError> {
        match self.kind {
            GitLabToken::Job if !right.reports() => {
                Ok((HeaderName::from_static("job-token"), sensitive(token.expose())?))
            }
            _ => Ok((header::AUTHORIZATION, bearer(token)?)),
        }
    }

    fn git_user(&self) -> &'static str {
        match self.kind {
            GitLabToken::Job => "gitlab-ci-token",
            GitLabToken::Private | GitLabToken::OAuth => "oauth2",
        }
    }

    fn path(&self, place: &RepoRef, wanted: &Resource) -> Result<String, String> {
        let project = self.project(place)?;
        let missing = |e: &dyn std::fmt::Display| e.to_string();
        let path = match wanted {
            Resource::Repo => ProjectEndpoint::builder()
                .project(project)
                .build()
                .map_err(|e| missing(&e))?
                .endpoint(),
            Resource::Head(branch) => BranchEndpoint::builder()
                .project(project)
                .branch(branch.as_str())
                .build()
                .map_err(|e| missing(&e))?
                .endpoint(),
            Resource::Commit(sha) => CommitEndpoint::builder()
                .project(project)
                .commit(sha.as_str())
                .build()
                .map_err(|e| missing(&e))?
                .endpoint(),
            Resource::Token => {
                PersonalAccessTokenSelf::builder().build().map_err(|e| missing(&e))?.endpoint()
            }
            // Straight: the two trees, and not what was done since they parted.
            Resource::Compare(from, to) => {
                let query = format!("from={from}&to={to}&straight=true");
                format!("projects/{project}/repository/compare?{query}").into()
            }
            Resource::CompareWithBase(branch, sha) => {
                let branch = segment(branch.as_str());
                format!("projects/{project}/repository/compare?from={branch}&to={sha}").into()
            }
            Resource::Pulls(PullsPage { only_open, page, since }) => {
                let since = since.map(|since| format!("&updated_after={since}"));
                let which = if *only_open {
                    "state=opened&order_by=created_at&sort=asc"
                } else {
                    "state=all&order_by=updated_at&sort=desc"
                };
                let since = since.unwrap_or_default();
                format!(
                    "projects/{project}/merge_requests?{which}{since}&per_page={PAGE}&page={page}"
                )
                .into()
            }
            Resource::Report(call) => format!("projects/{project}/{}", call.tail).into(),
        };
        Ok(path.into_owned())
    }

    fn accept(&self, _: &Resource) -> &'static str {
        "application/json"
    }

    fn read_head(&self, answer: &Answer, branch: &BranchName) -> Result<CommitSha, String> {
        let found: Branch = json(answer)?;
        if found.name != branch.as_str() {
            return Err("describes a different branch than requested".to_owned());
        }
        found.commit.id.parse().map_err(|_| "the branch points at no commit id".to_owned())
    }

    fn absence(&self, answer: &Answer) -> Absence {
        // Only a text says whether branch or project is missing: checked instead of trusted.
        match answer.status {
            StatusCode::NOT_FOUND if !message(answer).is_empty() => Absence::Unclear,
            _ => Absence::NoAnswer,
        }
    }

    fn read_repo(&self, answer: &Answer) -> Result<RepoFacts, String> {
        let project: Project = json(answer)?;
        let (level, audience) = (project.permissions.level(), project.audience());
        let path = match self.root.as_str() {
            "" => project.path_with_namespace,
            root => format!("{root}/{}", project.path_with_namespace),
        };
        Ok(RepoFacts {
            id: project.id,
            path,
            url: project.http_url_to_repo,
            default_branch: project.default_branch,
            rights: level.map_or_else(|| "unknown".to_owned(), role),
            audience,
        })
    }

    fn read_commit(&self, answer: &Answer) -> Result<(CommitSha, CommitInfo), String> {
        let commit: Commit = json(answer)?;
        let sha = commit.id.parse().map_err(|_| "the answer holds no commit id".to_owned())?;
        Ok((
            sha,
            CommitInfo {
                message: commit.message,
                author: commit.author_name,
                committed: time(commit.committed_date.as_deref()),
            },
        ))
    }

    fn read_changes(
        &self,
        answer: &Answer,
        _: &CommitSha,
        _: &CommitSha,
    ) -> Result<Compared, String> {
        json::<Comparison>(answer).map(Comparison::compared)
    }

    /// <https://docs.gitlab.com/api/merge_requests/#list-project-merge-requests>
    fn read_pulls(&self, answer: &Answer) -> Result<Vec<Told>, String> {
        Ok(json::<Vec<MergeRequest>>(answer)?.into_iter().filter_map(MergeRequest::told).collect())
    }

    fn read_changes_since_base(&self, answer: &Answer) -> Result<Compared, String> {
        json::<Comparison>(answer).map(Comparison::compared)
    }

    /// GitLab keeps a commit's statuses by branch, each in a pipeline of its own, and a merge request looks at its
    /// branch's alone: <https://docs.gitlab.com/api/commits/#set-commit-pipeline-status>
    fn status(&self, status: &CommitStatus) -> Vec<Call> {
        if !self.sets_statuses() {
            return Vec::new();
        }
        let call = |subject: &Subject| {
            let mut body = serde_json::json!({
                "state": word(status.state),
                "name": status.context,
                "description": description(status),
            });
            // A merge request's own pipeline is found by the commit.
            if !matches!(subject, Subject::PullRequest(_)) {
                body["ref"] = subject.name().into();
            }
            if let Some(link) = link(status, LINK) {
                body["target_url"] = link.into();
            }
            let tail = format!("statuses/{}", status.revision.sha);
            Call { method: Method::POST, tail, body: Some(body) }
        };
        status.subjects.iter().map(call).collect()
    }

    fn read_status(&self, answer: &Answer) -> Result<(), String> {
        json::<SetStatus>(answer).map(drop)
    }

    /// `Cannot transition status via :run from :running`: GitLab's statuses are a state machine, which refuses to
    /// go where it is.
    fn is_set(&self, answer: &Answer, state: StatusState) -> bool {
        let message = message(answer);
        let from = message
            .strip_prefix("Cannot transition status via :")
            .and_then(|rest| rest.split_once(" from :"));
        from.and_then(|(_, rest)| rest.split([' ', '(']).next()) == Some(word(state))
    }

    fn lacks_commit(&self, answer: &Answer) -> bool {
        answer.status == StatusCode::NOT_FOUND && message(answer).contains("Commit Not Found")
    }

    fn remedy(&self, right: Right) -> &'static str {
        if !right.reports() {
            return "give the token the scope read_api and its owner the role Reporter";
        }
        if self.sets_statuses() {
            "give the token the scope api and its owner the role Developer, for a protected branch one that may \
             push or merge there, or set the forge's report_token"
        } else {
            "a CI job's token sets no statuses: set the forge's report_token to an access token with the scope api"
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
        number_after(path, "projects/")
    }
}

/// The names of <https://docs.gitlab.com/api/access_requests/#valid-access-levels>.
fn role(level: u64) -> String {
    let name = match level {
        0 => "no access",
        5 => "minimal access",
        10 => "guest",
        15 => "planner",
        20 => "reporter",
        30 => "developer",
        40 => "maintainer",
        50 => "owner",
        _ => "unknown role",
    };
    format!("{name} ({level})")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api(url: Option<&str>, kind: GitLabToken) -> GitLabApi {
        let url = url.map(|url| url.parse().unwrap());
        GitLabApi::new("gitlab", url, Credential::Anonymous, kind, None).unwrap()
    }

    fn place(repo: &str) -> RepoRef {
        RepoRef::Path(repo.parse::<sentry_core::repo::RepoUrl>().unwrap().path())
    }

    #[test]
    fn sub_groups_and_branches_are_percent_encoded() {
        let api = api(None, GitLabToken::Private);
        let branch = "feat/x#1".parse().unwrap();
        assert_eq!(
            api.path(&place("https://gitlab.com/g/sub/p.git"), &Resource::Head(branch)).unwrap(),
            "projects/g%2Fsub%2Fp/repository/branches/feat%2Fx%231"
        );
        assert_eq!(api.path(&RepoRef::Id(7), &Resource::Repo).unwrap(), "projects/7");
        assert_eq!(api.base().as_str(), "https://gitlab.com/api/v4/");
    }

    #[test]
    fn an_instance_below_a_path_keeps_it_out_of_the_projects_name() {
        let api = api(Some("https://example.com/gitlab"), GitLabToken::Private);
        assert_eq!(api.base().as_str(), "https://example.com/gitlab/api/v4/");
        let at = |repo| api.path(&place(repo), &Resource::Repo);
        assert_eq!(at("https://example.com/gitlab/g/p").unwrap(), "projects/g%2Fp");
        assert!(at("https://example.com/g/p").is_err());
        assert!(at("https://example.com/gitlab/p").is_err());
    }

    #[test]
    fn each_kind_of_token_has_its_header_and_its_git_user() {
        let token = Secret::new("glpat-secret");
        for (kind, name, user) in [
            (GitLabToken::Private, "authorization", "oauth2"),
            (GitLabToken::OAuth, "authorization", "oauth2"),
            (GitLabToken::Job, "job-token", "gitlab-ci-token"),
        ] {
            let api = api(None, kind);
            assert_eq!(api.authorization(&token, Right::Read).unwrap().0, name);
            assert_eq!(api.git_user(), user);
        }
    }
}
