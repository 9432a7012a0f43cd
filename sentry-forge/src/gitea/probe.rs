//! What a token may do, as far as Gitea shows it without writing anything.

use http::StatusCode;
use sentry_core::forge::{ForgeError, ForgeErrorKind};
use sentry_core::repo::RepoUrl;
use serde::Deserialize;

use super::api::{GiteaApi, Permissions};
use crate::git::ls_refs::NEW;
use crate::hosted::api::{Api as _, Resource, json};
use crate::hosted::{Hosted, Probe};
use crate::rate_limit::Right;

#[derive(Deserialize)]
struct Repository {
    #[serde(default)]
    permissions: Permissions,
}

/// The repository by the API, its contents by git.
pub(super) async fn reading(hosted: &Hosted, repo: &RepoUrl) -> Result<Probe, ForgeError> {
    let facts = hosted.facts(repo).await?;
    let can_read = match hosted.ls_refs(repo, &["HEAD".to_owned()], NEW).await {
        Ok(_) => true,
        Err(error) if error.kind() == ForgeErrorKind::Unauthorized => false,
        Err(error) => return Err(error),
    };
    let (rights, default_branch) = (facts.rights, facts.default_branch);
    Ok(Probe { can_read, rights, default_branch, ..Probe::default() })
}

/// The rights of who sets statuses.
pub(super) async fn reporting(
    api: &GiteaApi,
    hosted: &Hosted,
    repo: &RepoUrl,
) -> Result<(Option<bool>, String), ForgeError> {
    let no = || (Some(false), api.remedy(Right::Statuses).to_owned());
    let answer = match hosted.ask_as_reporter(repo, &Resource::Repo).await {
        Ok(answer) if answer.status == StatusCode::OK => answer,
        Ok(_) => return Ok(no()),
        Err(error) if error.kind() == ForgeErrorKind::Unauthorized => return Ok(no()),
        Err(error) => return Err(error),
    };
    let found: Repository = json(&answer).map_err(|why| hosted.wrong(repo, &why))?;
    if !found.permissions.push {
        return Ok(no());
    }
    let text = "its owner may push; whether the token has the scope write:repository is unknown";
    Ok((None, text.to_owned()))
}
