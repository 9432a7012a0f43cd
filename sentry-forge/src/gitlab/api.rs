//! GitLab's requests and answers: <https://docs.gitlab.com/api/branches/>, <https://docs.gitlab.com/api/projects/>

use async_trait::async_trait;
use gitlab::api::Endpoint;
use gitlab::api::common::NameOrId;
use gitlab::api::projects::Project as ProjectEndpoint;
use gitlab::api::projects::repository::branches::Branch as BranchEndpoint;
use gitlab::api::projects::repository::commits::Commit as CommitEndpoint;
use http::{HeaderName, HeaderValue, StatusCode, header};
use sentry_core::forge::{CommitInfo, ForgeError, ForgeErrorKind};
use sentry_core::repo::{BranchName, CommitSha};
use sentry_core::secret::Secret;
use serde::Deserialize;
use url::Url;

use super::GitLabToken;
use crate::credential::{Credential, basic, bearer, header as sensitive};
use crate::hosted::api::{
    Absence, Api, Place, RepoFacts, Wanted, base, json, number_after, origin,
};
use crate::http::Answer;

#[derive(Debug)]
pub(super) struct GitLabApi {
    base: Url,
    web: String,
    /// The path that the instance lives under, without slashes at its ends; mostly empty.
    root: String,
    credential: Credential,
    kind: GitLabToken,
}

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
}

#[derive(Deserialize, Default)]
struct Permissions {
    project_access: Option<Access>,
    group_access: Option<Access>,
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
}

impl GitLabApi {
    pub(super) fn new(
        name: &str,
        url: Option<Url>,
        credential: Credential,
        kind: GitLabToken,
    ) -> Result<Self, ForgeError> {
        let bad = |e| ForgeError::new(ForgeErrorKind::Local, name).with_source(e);
        let url = url.map_or_else(|| Url::parse("https://gitlab.com/").map_err(bad), Ok)?;
        let home = base(name, url)?;
        let root = home.path().trim_matches('/').to_owned();
        let base = home.join("api/v4/").map_err(bad)?;
        Ok(Self { web: origin(&home), base, root, credential, kind })
    }

    /// The project's path on the instance: without the path that the instance itself lives under.
    fn project<'a>(&self, place: &'a Place) -> Result<NameOrId<'a>, String> {
        match place {
            Place::Id(id) => Ok((*id).into()),
            Place::Path(path) => {
                let path = path.as_str();
                let inside = match self.root.as_str() {
                    "" => Some(path),
                    root => path.strip_prefix(root).and_then(|rest| rest.strip_prefix('/')),
                };
                inside
                    .filter(|path| path.contains('/'))
                    .map(NameOrId::from)
                    .ok_or_else(|| "a project of GitLab is called GROUP/NAME".to_owned())
            }
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

    fn credential(&self) -> &Credential {
        &self.credential
    }

    fn reads_branches(&self) -> bool {
        self.kind != GitLabToken::Job
    }

    fn authorization(&self, token: &Secret) -> Result<(HeaderName, HeaderValue), ForgeError> {
        match self.kind {
            GitLabToken::Private | GitLabToken::OAuth => {
                Ok((header::AUTHORIZATION, bearer(token)?))
            }
            GitLabToken::Job => {
                Ok((HeaderName::from_static("job-token"), sensitive(token.expose())?))
            }
        }
    }

    fn git_authorization(&self, token: &Secret) -> Result<HeaderValue, ForgeError> {
        match self.kind {
            GitLabToken::Job => basic("gitlab-ci-token", token),
            GitLabToken::Private | GitLabToken::OAuth => basic("oauth2", token),
        }
    }

    fn path(&self, place: &Place, wanted: &Wanted) -> Result<String, String> {
        let project = self.project(place)?;
        let missing = |e: &dyn std::fmt::Display| e.to_string();
        let path = match wanted {
            Wanted::Repo => ProjectEndpoint::builder()
                .project(project)
                .build()
                .map_err(|e| missing(&e))?
                .endpoint(),
            Wanted::Head(branch) => BranchEndpoint::builder()
                .project(project)
                .branch(branch.as_str())
                .build()
                .map_err(|e| missing(&e))?
                .endpoint(),
            Wanted::Commit(sha) => CommitEndpoint::builder()
                .project(project)
                .commit(sha.as_str())
                .build()
                .map_err(|e| missing(&e))?
                .endpoint(),
        };
        Ok(path.into_owned())
    }

    fn accept(&self, _: &Wanted) -> &'static str {
        "application/json"
    }

    fn read_head(&self, answer: &Answer, branch: &BranchName) -> Result<CommitSha, String> {
        let found: Branch = json(answer)?;
        if found.name != branch.as_str() {
            return Err("describes another branch than the one asked for".to_owned());
        }
        found.commit.id.parse().map_err(|_| "the branch points at no commit id".to_owned())
    }

    fn absence(&self, answer: &Answer) -> Absence {
        // Whether branch or project is missing is told by a text alone: asked for instead of trusted.
        if answer.status == StatusCode::NOT_FOUND { Absence::Unclear } else { Absence::NoAnswer }
    }

    fn read_repo(&self, answer: &Answer) -> Result<RepoFacts, String> {
        let project: Project = json(answer)?;
        let Permissions { project_access, group_access } = project.permissions;
        let level = [project_access, group_access].iter().flatten().map(|a| a.access_level).max();
        let path = match self.root.as_str() {
            "" => project.path_with_namespace,
            root => format!("{root}/{}", project.path_with_namespace),
        };
        Ok(RepoFacts {
            id: project.id,
            path,
            url: project.http_url_to_repo,
            default_branch: project.default_branch,
            rights: level.map_or_else(|| "not told".to_owned(), role),
        })
    }

    fn read_commit(&self, answer: &Answer) -> Result<(CommitSha, CommitInfo), String> {
        let commit: Commit = json(answer)?;
        let sha = commit.id.parse().map_err(|_| "the answer holds no commit id".to_owned())?;
        Ok((sha, CommitInfo { message: commit.message, author: commit.author_name }))
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
        GitLabApi::new("gitlab", url, Credential::Anonymous, kind).unwrap()
    }

    fn place(repo: &str) -> Place {
        Place::Path(repo.parse::<sentry_core::repo::RepoUrl>().unwrap().path())
    }

    #[test]
    fn sub_groups_and_branches_are_percent_encoded() {
        let api = api(None, GitLabToken::Private);
        let branch = "feat/x#1".parse().unwrap();
        assert_eq!(
            api.path(&place("https://gitlab.com/g/sub/p.git"), &Wanted::Head(branch)).unwrap(),
            "projects/g%2Fsub%2Fp/repository/branches/feat%2Fx%231"
        );
        assert_eq!(api.path(&Place::Id(7), &Wanted::Repo).unwrap(), "projects/7");
        assert_eq!(api.base().as_str(), "https://gitlab.com/api/v4/");
    }

    #[test]
    fn an_instance_below_a_path_keeps_it_out_of_the_projects_name() {
        let api = api(Some("https://example.com/gitlab"), GitLabToken::Private);
        assert_eq!(api.base().as_str(), "https://example.com/gitlab/api/v4/");
        let at = |repo| api.path(&place(repo), &Wanted::Repo);
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
            assert_eq!(api.authorization(&token).unwrap().0, name);
            assert_eq!(api.git_authorization(&token).unwrap(), basic(user, &token).unwrap());
        }
    }
}
