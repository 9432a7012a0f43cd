//! Commit statuses, check runs and comparisons, with the rights that they take.
//!
//! Sources: the REST API's reference on commit statuses, check runs and comparing commits, and on the permissions
//! that tokens need.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use super::{message, not_found};
use crate::forges::difference::{difference, parameters};
use crate::forges::{Answer, Commit, PostedStatus};
use crate::http::{decode, lock};
use crate::repo::BareRepo;

const UNPROCESSABLE: StatusCode = StatusCode::UNPROCESSABLE_ENTITY;
/// Statuses of one commit and context.
const MOST: usize = 1000;
/// Files that a comparison names.
const COMPARED: usize = 300;

/// What was reported, and who may report.
#[derive(Debug)]
pub(super) struct Reports {
    pub(super) statuses: Mutex<Vec<PostedStatus>>,
    pub(super) checks: Mutex<Vec<Value>>,
    /// What each accepted request about a check run said.
    pub(super) check_requests: Mutex<Vec<PostedStatus>>,
    /// Tokens that may read only.
    pub(super) readers: Mutex<BTreeSet<String>>,
    /// What installations grant, by permission.
    pub(super) granted: Mutex<BTreeMap<String, String>>,
    /// What each installation token may do.
    minted: Mutex<BTreeMap<String, BTreeMap<String, String>>>,
}

/// One request about one repository.
pub(super) struct Report<'a> {
    pub(super) method: &'a Method,
    pub(super) token: Option<&'a str>,
    pub(super) name: &'a str,
    pub(super) repo: &'a BareRepo,
    pub(super) body: &'a Value,
    pub(super) query: Option<&'a str>,
}

impl Default for Reports {
    fn default() -> Self {
        let all = [
            ("contents", "read"),
            ("metadata", "read"),
            ("checks", "write"),
            ("statuses", "write"),
        ];
        let granted = all.map(|(name, access)| (name.to_owned(), access.to_owned()));
        Self {
            statuses: Mutex::default(),
            checks: Mutex::default(),
            check_requests: Mutex::default(),
            readers: Mutex::default(),
            granted: Mutex::new(granted.into()),
            minted: Mutex::default(),
        }
    }
}

impl Reports {
    /// The permissions of a new installation token; an error for those that the installation does not grant.
    pub(super) fn mint(&self, token: &str, asked: &Value) -> Result<Value, Answer> {
        let granted = lock(&self.granted).clone();
        let wanted: BTreeMap<String, String> = if asked.is_null() {
            granted.clone()
        } else {
            serde_json::from_value(asked.clone()).unwrap_or_default()
        };
        let allowed = |(name, access): (&String, &String)| {
            granted.get(name).is_some_and(|most| most == access || most == "write")
        };
        if !wanted.iter().all(allowed) {
            let text = "The permissions requested are not granted to this installation.";
            return Err(message(UNPROCESSABLE, text));
        }
        let said = json!(wanted);
        lock(&self.minted).insert(token.to_owned(), wanted);
        Ok(said)
    }

    /// The answer to what this file is about; `None` for anything else.
    pub(super) fn answer(&self, report: &Report<'_>, rest: &[&str]) -> Option<Answer> {
        match (report.method, rest) {
            (&Method::POST, ["statuses", sha]) => Some(self.set_status(report, sha)),
            (&Method::GET, ["compare", basehead]) => Some(compare(report, &decode(basehead))),
            (&Method::GET, ["commits", sha, "check-runs"]) => Some(self.list(report, sha)),
            (&Method::POST, ["check-runs"]) => Some(self.create(report)),
            (&Method::PATCH, ["check-runs", id]) => Some(self.update(report, id)),
            _ => None,
        }
    }

    /// A refusal, if the token may not do this.
    fn refuses(&self, token: Option<&str>, permission: &str) -> Option<Answer> {
        let Some(token) = token else {
            return Some(message(StatusCode::UNAUTHORIZED, "Requires authentication"));
        };
        if let Some(may) = lock(&self.minted).get(token) {
            let writes = may.get(permission).is_some_and(|access| access == "write");
            let text = "Resource not accessible by integration";
            return (!writes).then(|| message(StatusCode::FORBIDDEN, text));
        }
        if permission == "checks" {
            return Some(message(StatusCode::FORBIDDEN, "You must authenticate via a GitHub App."));
        }
        // Who may only read is not told that there is something to write.
        lock(&self.readers).contains(token).then(not_found)
    }

    fn set_status(&self, report: &Report<'_>, sha: &str) -> Answer {
        if let Some(refusal) = self.refuses(report.token, "statuses") {
            return refusal;
        }
        if let Some(missing) = no_commit(report.repo, sha) {
            return missing;
        }
        let body = report.body;
        let text = |key: &str| body[key].as_str().unwrap_or_default();
        let link = body["target_url"].as_str();
        if !["error", "failure", "pending", "success"].contains(&text("state"))
            || text("description").chars().count() > 140
            || link.is_some_and(|link| !is_web(link))
        {
            return message(UNPROCESSABLE, "Validation Failed");
        }
        let context = body["context"].as_str().unwrap_or("default").to_lowercase();
        let mut statuses = lock(&self.statuses);
        let same = |posted: &&PostedStatus| {
            posted.sha == sha
                && posted.body["context"].as_str().unwrap_or("default").to_lowercase() == context
        };
        if statuses.iter().filter(same).count() >= MOST {
            return message(UNPROCESSABLE, "Validation Failed");
        }
        let posted =
            PostedStatus { repo: report.name.to_owned(), sha: sha.to_owned(), body: body.clone() };
        statuses.push(posted);
        let id = statuses.len();
        Answer::json(
            StatusCode::CREATED,
            &json!({ "id": id, "node_id": format!("S_{id}"), "state": body["state"],
                "context": body["context"].as_str().unwrap_or("default"),
                "description": body["description"], "target_url": body["target_url"] }),
        )
    }

    fn create(&self, report: &Report<'_>) -> Answer {
        if let Some(refusal) = self.refuses(report.token, "checks") {
            return refusal;
        }
        let body = report.body;
        let sha = body["head_sha"].as_str().unwrap_or_default();
        if body["name"].as_str().is_none_or(str::is_empty) || !is_check(body, true) {
            return message(UNPROCESSABLE, "Invalid request.");
        }
        if let Some(missing) = no_commit(report.repo, sha) {
            return missing;
        }
        let mut checks = lock(&self.checks);
        let mut run = json!({ "id": checks.len() + 1, "app": { "id": 1, "slug": "sentry" },
            "repo": report.name, "status": "queued", "conclusion": null });
        change(&mut run, body);
        checks.push(run.clone());
        self.keep_request(report, &run);
        Answer::json(StatusCode::CREATED, &run)
    }

    fn keep_request(&self, report: &Report<'_>, run: &Value) {
        let sha = run["head_sha"].as_str().unwrap_or_default().to_owned();
        let (repo, body) = (report.name.to_owned(), report.body.clone());
        lock(&self.check_requests).push(PostedStatus { repo, sha, body });
    }

    fn update(&self, report: &Report<'_>, id: &str) -> Answer {
        if let Some(refusal) = self.refuses(report.token, "checks") {
            return refusal;
        }
        if !is_check(report.body, false) {
            return message(UNPROCESSABLE, "Invalid request.");
        }
        let mut checks = lock(&self.checks);
        let ours = |run: &&mut Value| {
            run["id"].as_u64() == id.parse().ok() && run["repo"].as_str() == Some(report.name)
        };
        let Some(run) = checks.iter_mut().find(ours) else { return not_found() };
        change(run, report.body);
        self.keep_request(report, run);
        Answer::ok(run)
    }

    fn list(&self, report: &Report<'_>, sha: &str) -> Answer {
        if let Some(missing) = no_commit(report.repo, sha) {
            return missing;
        }
        let asked = parameters(report.query);
        let fits = |run: &&Value| {
            let is = |key: &str, value: &Value| {
                asked.get(key).is_none_or(|wanted| match value {
                    Value::String(text) => text == wanted,
                    number => number.as_u64() == wanted.parse().ok(),
                })
            };
            run["head_sha"] == sha
                && run["repo"].as_str() == Some(report.name)
                && is("check_name", &run["name"])
                && is("app_id", &run["app"]["id"])
        };
        let mut runs: Vec<Value> = lock(&self.checks).iter().filter(fits).cloned().collect();
        runs.reverse();
        if asked.get("filter").is_none_or(|filter| filter == "latest") {
            let mut seen = BTreeSet::new();
            runs.retain(|run| seen.insert(run["name"].to_string()));
        }
        Answer::ok(&json!({ "total_count": runs.len(), "check_runs": runs }))
    }
}

fn is_web(link: &str) -> bool {
    link.starts_with("https://") || link.starts_with("http://")
}

/// A commit is named by its whole id.
fn no_commit(repo: &BareRepo, sha: &str) -> Option<Answer> {
    let there = matches!(sha.len(), 40 | 64) && Commit::read(repo, sha).is_some();
    (!there).then(|| message(UNPROCESSABLE, &format!("No commit found for SHA: {sha}")))
}

/// What the description of the API asks of a check run's body.
fn is_check(body: &Value, new: bool) -> bool {
    const CONCLUSIONS: [&str; 7] =
        ["action_required", "cancelled", "failure", "neutral", "success", "skipped", "timed_out"];
    let status = body["status"].as_str();
    let conclusion = body["conclusion"].as_str();
    let output = &body["output"];
    let has = |key: &str| output[key].as_str().is_some_and(|text| !text.is_empty());
    status.is_none_or(|status| ["queued", "in_progress", "completed"].contains(&status))
        && conclusion.is_none_or(|conclusion| CONCLUSIONS.contains(&conclusion))
        && (status != Some("completed") || conclusion.is_some())
        && (output.is_null() || (has("summary") && (has("title") || !new)))
        && body["details_url"].as_str().is_none_or(is_web)
}

fn change(run: &mut Value, body: &Value) {
    for key in ["name", "head_sha", "external_id", "details_url", "status", "conclusion", "output"]
    {
        if let Some(value) = body.get(key) {
            run[key] = value.clone();
        }
    }
    if !run["conclusion"].is_null() {
        run["status"] = "completed".into();
    }
}

/// The newer commit against what both have in common.
fn compare(report: &Report<'_>, basehead: &str) -> Answer {
    let repo = report.repo;
    let commits = basehead.split_once("...").and_then(|(base, head)| {
        let find = |name: &str| {
            let sha = repo.branch_at(name).unwrap_or_else(|| name.to_owned());
            Commit::read(repo, &sha)
        };
        Some((find(base)?, find(head)?))
    });
    let Some((base, head)) = commits else { return not_found() };
    let Some(common) = repo.try_git(&["merge-base", &base.sha, &head.sha]) else {
        let text = format!("No common ancestor between {} and {}.", base.sha, head.sha);
        return message(StatusCode::NOT_FOUND, &text);
    };
    let count = |range: String| repo.git(&["rev-list", "--count", &range]).parse().unwrap_or(0);
    let (ahead, behind): (u64, u64) =
        (count(format!("{common}..{}", head.sha)), count(format!("{common}..{}", base.sha)));
    let status = match (ahead, behind) {
        (0, 0) => "identical",
        (_, 0) => "ahead",
        (0, _) => "behind",
        _ => "diverged",
    };
    let files = difference(repo, &common, &head.sha);
    let files = files.iter().take(COMPARED).map(|file| match file.letter {
        'A' => json!({ "filename": file.new, "status": "added", "patch": "" }),
        'D' => json!({ "filename": file.new, "status": "removed", "patch": "" }),
        'R' => json!({ "filename": file.new, "status": "renamed", "previous_filename": file.old }),
        _ => json!({ "filename": file.new, "status": "modified", "patch": "" }),
    });
    let files: Vec<Value> = files.collect();
    Answer::ok(&json!({
        "status": status, "ahead_by": ahead, "behind_by": behind, "total_commits": ahead,
        "base_commit": { "sha": base.sha }, "merge_base_commit": { "sha": common },
        "commits": [], "files": files,
    }))
}
