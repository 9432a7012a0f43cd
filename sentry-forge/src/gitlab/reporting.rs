//! Whether statuses may be set, as far as GitLab shows it without setting one.

use http::StatusCode;
use sentry_core::forge::{ForgeError, ForgeErrorKind};
use sentry_core::repo::RepoUrl;
use serde::Deserialize;

use super::api::{GitLabApi, Permissions};
use crate::hosted::Hosted;
use crate::hosted::api::{Api as _, Resource, json};
use crate::rate_limit::Right;

/// The role Developer: <https://docs.gitlab.com/user/permissions/>
const DEVELOPER: u64 = 30;

#[derive(Deserialize)]
struct Project {
    #[serde(default)]
    permissions: Permissions,
}

/// <https://docs.gitlab.com/api/personal_access_tokens/#self-inform>
#[derive(Deserialize)]
struct Token {
    scopes: Vec<String>,
}

/// The answer, and how it is known.
pub(super) async fn ask(
    api: &GitLabApi,
    hosted: &Hosted,
    repo: &RepoUrl,
) -> Result<(Option<bool>, String), ForgeError> {
    let no = || (Some(false), api.remedy(Right::Statuses).to_owned());
    if !api.sets_statuses() {
        return Ok(no());
    }
    let answer = match hosted.ask_as_reporter(repo, &Resource::Repo).await {
        Ok(answer) if answer.status == StatusCode::OK => answer,
        Ok(_) => return Ok(no()),
        Err(error) if error.kind() == ForgeErrorKind::Unauthorized => return Ok(no()),
        Err(error) => return Err(error),
    };
    let project: Project = json(&answer).map_err(|why| hosted.wrong(repo, &why))?;
    if project.permissions.level().unwrap_or_default() < DEVELOPER {
        return Ok(no());
    }
    // Only access tokens list their scopes; the right to ask depends on the kind of token as well.
    let scopes = match hosted.ask_as_reporter(repo, &Resource::Token).await {
        Ok(answer) if answer.status == StatusCode::OK => json::<Token>(&answer).ok(),
        Ok(_) => None,
        Err(error) if error.kind() == ForgeErrorKind::Unauthorized => None,
        Err(error) => return Err(error),
    };
    Ok(match scopes.map(|token| token.scopes) {
        Some(scopes) if scopes.iter().any(|scope| scope == "api") => {
            (Some(true), "scope api, role Developer or more".to_owned())
        }
        Some(_) => no(),
        None => (None, "the role allows it; the token's scopes are unknown".to_owned()),
    })
}
