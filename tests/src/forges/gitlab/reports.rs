//! Commit statuses, which are a state machine, and comparisons, with the rights that they take.
//!
//! Sources: the REST API's reference on commits, repositories and personal access tokens, and GitLab's own answers
//! to repeated states.

use std::collections::BTreeSet;
use std::sync::Mutex;

use hyper::StatusCode;
use serde_json::{Value, json};

use super::message;
use crate::forges::difference::{difference, parameters};
use crate::forges::{Answer, Commit, PostedStatus};
use crate::http::lock;
use crate::repo::BareRepo;

/// The longest of a status's texts, in characters.
const LONGEST: usize = 255;

/// What was reported, and who may report.
#[derive(Debug, Default)]
pub(super) struct Reports {
    pub(super) statuses: Mutex<Vec<PostedStatus>>,
    /// Tokens that may read only.
    pub(super) readers: Mutex<BTreeSet<String>>,
    /// Where each line of statuses is: commit, branch, name and token; its state.
    lines: Mutex<Vec<(Line, String)>>,
}

type Line = [String; 4];

impl Reports {
    /// What a token says about itself.
    pub(super) fn token(&self, token: Option<&str>) -> Answer {
        let Some(token) = token else {
            return message(StatusCode::UNAUTHORIZED, "401 Unauthorized");
        };
        let reads = lock(&self.readers).contains(token);
        let scopes = if reads { &["read_api", "read_repository"][..] } else { &["api"] };
        Answer::ok(&json!({ "id": 1, "name": "sentry", "revoked": false, "active": true,
            "scopes": scopes, "user_id": 1 }))
    }

    pub(super) fn set_status(
        &self,
        (token, is_job): (Option<&str>, bool),
        name: &str,
        repo: &BareRepo,
        sha: &str,
        body: &Value,
    ) -> Answer {
        let Some(token) = token.filter(|_| !is_job) else {
            return message(StatusCode::UNAUTHORIZED, "401 Unauthorized");
        };
        if lock(&self.readers).contains(token) {
            return message(StatusCode::FORBIDDEN, "403 Forbidden");
        }
        let text = |key: &str| body[key].as_str().unwrap_or_default();
        let state = text("state");
        if !["pending", "running", "success", "failed", "canceled", "skipped"].contains(&state) {
            let body = json!({ "error": "state does not have a valid value" });
            return Answer::json(StatusCode::BAD_REQUEST, &body);
        }
        if Commit::read(repo, sha).is_none() {
            return message(StatusCode::NOT_FOUND, "404 Commit Not Found");
        }
        for key in ["description", "target_url", "ref"] {
            if text(key).chars().count() > LONGEST {
                let body =
                    json!({ "message": { key: ["is too long (maximum is 255 characters)"] } });
                return Answer::json(StatusCode::BAD_REQUEST, &body);
            }
        }
        let label = body["name"].as_str().or(body["context"].as_str()).unwrap_or("default");
        let line = [sha, text("ref"), label, token].map(str::to_owned);
        if let Err(refusal) = self.go(line, state) {
            return message(StatusCode::BAD_REQUEST, &refusal);
        }
        let posted =
            PostedStatus { repo: name.to_owned(), sha: sha.to_owned(), body: body.clone() };
        let mut statuses = lock(&self.statuses);
        statuses.push(posted);
        let said = json!({ "id": statuses.len(), "sha": sha, "ref": body["ref"], "status": state,
            "name": label, "target_url": body["target_url"], "description": body["description"] });
        Answer::json(StatusCode::CREATED, &said)
    }

    /// A line that has ended begins anew with any state; one that has not refuses to go where it is.
    fn go(&self, line: Line, state: &str) -> Result<(), String> {
        let mut lines = lock(&self.lines);
        let open = lines
            .iter_mut()
            .find(|(known, state)| *known == line && ["pending", "running"].contains(&&**state));
        let Some((_, now)) = open else {
            lines.push((line, state.to_owned()));
            return Ok(());
        };
        let event = match (&**now, state) {
            (_, "pending") => "enqueue",
            ("running", "running") => "run",
            ("running", "skipped") => "skip",
            _ => {
                state.clone_into(now);
                return Ok(());
            }
        };
        Err(format!(
            "Cannot transition status via :{event} from :{now} (Reason(s): Status cannot transition via \"{event}\")"
        ))
    }
}

/// Two commits, straight or from what both have in common.
pub(super) fn compare(repo: &BareRepo, query: Option<&str>) -> Answer {
    let asked = parameters(query);
    let find = |key: &str| {
        let name = asked.get(key)?;
        Commit::read(repo, &repo.branch_at(name).unwrap_or_else(|| name.clone()))
    };
    let (Some(from), Some(to)) = (find("from"), find("to")) else {
        return message(StatusCode::NOT_FOUND, "404 Ref Not Found");
    };
    let straight = asked.get("straight").is_some_and(|value| value == "true");
    let base = if straight {
        Some(from.sha.clone())
    } else {
        repo.try_git(&["merge-base", &from.sha, &to.sha])
    };
    let Some(base) = base else { return message(StatusCode::NOT_FOUND, "404 Ref Not Found") };
    let files = difference(repo, &base, &to.sha);
    let diffs = files.iter().map(|file| {
        json!({ "old_path": file.old, "new_path": file.new, "diff": "", "new_file": file.letter == 'A',
            "renamed_file": file.letter == 'R', "deleted_file": file.letter == 'D' })
    });
    let diffs: Vec<Value> = diffs.collect();
    Answer::ok(&json!({ "commit": null, "commits": [], "diffs": diffs, "compare_timeout": false,
        "compare_same_ref": from.sha == to.sha }))
}
