//! Whether statuses may be set, as far as GitHub shows it without setting one.

use http::StatusCode;
use sentry_core::forge::{ForgeError, ForgeErrorKind};
use sentry_core::repo::RepoUrl;
use serde::Deserialize;

use super::api::GitHubApi;
use crate::hosted::Hosted;
use crate::hosted::api::{Api as _, Resource, json};
use crate::http::Answer;
use crate::rate_limit::Right;

#[derive(Deserialize)]
struct RepoAnswer {
    #[serde(default)]
    private: bool,
    #[serde(default)]
    permissions: Permissions,
}

#[derive(Deserialize, Default)]
struct Permissions {
    #[serde(default)]
    push: bool,
}

/// The answer, and how it is known.
pub(super) async fn ask(
    api: &GitHubApi,
    hosted: &Hosted,
    repo: &RepoUrl,
) -> Result<(Option<bool>, String), ForgeError> {
    if api.makes_checks().is_some() {
        for (right, text) in
            [(Right::Checks, "Checks: write"), (Right::Statuses, "Commit statuses: write")]
        {
            match hosted.try_token(right).await {
                Ok(()) => return Ok((Some(true), format!("the App's installation grants {text}"))),
                Err(error) if error.kind() == ForgeErrorKind::Unauthorized => {}
                Err(error) => return Err(error),
            }
        }
        return Ok((Some(false), api.remedy(Right::Statuses).to_owned()));
    }
    match hosted.ask_as_reporter(repo, &Resource::Repo).await {
        Ok(answer) => Ok(read(api, &answer)),
        Err(error) if error.kind() == ForgeErrorKind::Unauthorized => {
            Ok((Some(false), error.to_string()))
        }
        Err(error) => Err(error),
    }
}

/// Classic tokens list their scopes with every answer, even where they see nothing; for fine-grained ones only their
/// owner's role is known: <https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/scopes-for-oauth-apps>
fn read(api: &GitHubApi, answer: &Answer) -> (Option<bool>, String) {
    let facts = json::<RepoAnswer>(answer).ok().filter(|_| answer.status == StatusCode::OK);
    let pushes = facts.as_ref().is_some_and(|facts| facts.permissions.push);
    let scopes = answer.headers.get("x-oauth-scopes").and_then(|value| value.to_str().ok());
    let private = facts.as_ref().is_none_or(|facts| facts.private);
    let remedy = || api.remedy(Right::Statuses).to_owned();
    match (facts.is_some(), scopes.filter(|scopes| !scopes.is_empty())) {
        (seen, Some(scopes)) => {
            let allows = |scope: &str| match scope {
                "repo" | "repo:status" => true,
                "public_repo" => !private,
                _ => false,
            };
            // The scope alone may set statuses without seeing a private repository.
            if scopes.split(',').map(str::trim).any(allows) && (pushes || !seen) {
                (Some(true), format!("scopes: {scopes}"))
            } else {
                (Some(false), remedy())
            }
        }
        (true, None) if pushes => {
            let text =
                "its owner may push; whether the token has Commit statuses: write is unknown";
            (None, text.to_owned())
        }
        _ => (Some(false), remedy()),
    }
}
