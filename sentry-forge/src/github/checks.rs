//! Statuses as check runs, which only GitHub Apps may make: <https://docs.github.com/en/rest/checks/runs>
//!
//! A context has one check run on its commit at a time: later states change it, whichever delivery they are about, until
//! it is completed. What comes after that and is about another delivery, or starts over, makes another, which is then
//! the one shown; none is left in progress for ever.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use http::{Method, StatusCode};
use sentry_core::forge::{CommitStatus, ForgeError, ForgeErrorKind, StatusState};
use sentry_core::repo::RepoUrl;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::hosted::Hosted;
use crate::hosted::api::{Call, description, json as read, link, segment};
use crate::http::Answer;
use crate::rate_limit::Right;
use crate::status::StatusError;

/// Check runs that are remembered; more is a leak, and then all are forgotten and found again.
const MOST: usize = 1_000;

/// The check runs that were made and are not completed, by what they are about. GitHub is asked for others.
#[derive(Debug, Default)]
pub(super) struct Made {
    open: Mutex<HashMap<About, u64>>,
}

/// Repository, commit and context.
type About = (RepoUrl, String, String);

impl Made {
    fn open(&self) -> MutexGuard<'_, HashMap<About, u64>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, about: About, id: u64, completed: bool) {
        let mut open = self.open();
        if completed {
            open.remove(&about);
            return;
        }
        if open.len() >= MOST {
            open.clear();
        }
        open.insert(about, id);
    }
}

#[derive(Deserialize)]
struct List {
    check_runs: Vec<CheckRun>,
}

#[derive(Deserialize)]
struct CheckRun {
    id: u64,
    #[serde(default)]
    external_id: Option<String>,
    status: String,
    app: Option<AppId>,
}

#[derive(Deserialize)]
struct AppId {
    id: u64,
}

/// True if an error says that the App may make no check runs, or not here.
pub(super) fn may_not(error: &ForgeError) -> bool {
    error.kind() == ForgeErrorKind::Unauthorized
        && StatusError::of(error) != Some(StatusCode::UNAUTHORIZED)
}

/// Makes the context's check run, or changes the one that is there.
pub(super) async fn show(
    hosted: &Hosted,
    made: &Made,
    app: u64,
    repo: &RepoUrl,
    status: &CommitStatus,
) -> Result<(), ForgeError> {
    let sha = status.revision.sha.to_string();
    let about = (repo.clone(), sha, status.context.clone());
    let known = made.open().get(&about).copied();
    let id = match known {
        Some(id) => Some(id),
        None => find(hosted, app, repo, status).await?,
    };
    let call = match id {
        Some(id) => Call {
            method: Method::PATCH,
            tail: format!("check-runs/{id}"),
            body: Some(body(status)),
        },
        None => {
            let mut body = body(status);
            body["head_sha"] = status.revision.sha.as_str().into();
            Call { method: Method::POST, tail: "check-runs".to_owned(), body: Some(body) }
        }
    };
    let answer = hosted.report(repo, Right::Checks, call).await?;
    let run: CheckRun = read_ok(hosted, repo, &answer)?;
    made.keep(about, run.id, status.state != StatusState::Pending);
    Ok(())
}

/// The check run that was made before a restart. One that is completed is not opened again, and changed only by the
/// delivery that it is about.
async fn find(
    hosted: &Hosted,
    app: u64,
    repo: &RepoUrl,
    status: &CommitStatus,
) -> Result<Option<u64>, ForgeError> {
    let tail = format!(
        "commits/{}/check-runs?check_name={}&filter=latest&app_id={app}&per_page=100",
        status.revision.sha,
        segment(&status.context)
    );
    let call = Call { method: Method::GET, tail, body: None };
    let answer = hosted.report(repo, Right::Checks, call).await?;
    let list: List = read_ok(hosted, repo, &answer)?;
    let ours = |run: &&CheckRun| {
        let same = run.external_id.as_deref() == Some(external_id(status));
        run.app.as_ref().is_none_or(|by| by.id == app)
            && (run.status != "completed" || same && status.state != StatusState::Pending)
    };
    Ok(list.check_runs.iter().find(ours).map(|run| run.id))
}

fn read_ok<T: serde::de::DeserializeOwned>(
    hosted: &Hosted,
    repo: &RepoUrl,
    answer: &Answer,
) -> Result<T, ForgeError> {
    if !answer.status.is_success() {
        return Err(hosted.not_reported(repo, answer));
    }
    read(answer).map_err(|why| hosted.wrong(repo, &why))
}

/// What tells one check run of a name from the next: its delivery, if it has one.
fn external_id(status: &CommitStatus) -> &str {
    status.delivery.as_ref().map_or("undelivered", |delivery| delivery.as_str())
}

fn body(status: &CommitStatus) -> Value {
    let summary = match &status.delivery {
        Some(delivery) => format!("Delivery `{delivery}`"),
        None => "No delivery was made of it.".to_owned(),
    };
    let mut body = json!({
        "name": status.context,
        "external_id": external_id(status),
        "status": "in_progress",
        // The summary is Markdown, the title is not; only the id is safe in both.
        "output": {
            "title": description(status),
            "summary": summary,
        },
    });
    if let Some(conclusion) = conclusion(status.state) {
        body["status"] = "completed".into();
        body["conclusion"] = conclusion.into();
    }
    if let Some(link) = link(status, usize::MAX) {
        body["details_url"] = link.into();
    }
    body
}

/// Check runs know no error. `action_required` blocks a merge as `failure` does, but does not say that a run
/// failed: somebody must look, and the details say at what; `cancelled` would say that somebody meant it.
fn conclusion(state: StatusState) -> Option<&'static str> {
    match state {
        StatusState::Pending => None,
        StatusState::Success => Some("success"),
        StatusState::Failure => Some("failure"),
        StatusState::Error => Some("action_required"),
        StatusState::Cancelled => Some("cancelled"),
        StatusState::Neutral => Some("neutral"),
    }
}
