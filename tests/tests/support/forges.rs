use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sentry_tests::forges::ForgeOptions;
use sentry_tests::forges::github::{GitHub, secondary_limit};
use sentry_tests::forges::gitlab::GitLab;
use sentry_tests::repo::BareRepo;
use serde_json::Value;
use tempfile::TempDir;

use super::{Said, ask, get, git, stdout};

const SHA: (&str, &str) = ("Accept", "application/vnd.github.sha");
const TOKEN: (&str, &str) = ("Authorization", "Bearer t0ken");

fn github(enterprise: bool) -> (TempDir, BareRepo, GitHub) {
    let root = tempfile::tempdir().unwrap();
    let repo = BareRepo::create(root.path(), "o/r.git");
    let forge = GitHub::start(root.path(), ForgeOptions { enterprise, ..ForgeOptions::default() });
    forge.tokens().grant("t0ken");
    (root, repo, forge)
}

fn json(said: &Said) -> Value {
    serde_json::from_str(&said.body).unwrap_or_else(|error| panic!("{error}: {}", said.body))
}

#[test]
fn github_says_a_head_once_and_then_not_modified_for_nothing() {
    let (_root, repo, forge) = github(false);
    let sha = repo.commit("feat/x#1", &[("a", "1")], "first");
    let path = "/repos/o/r/commits/heads%2Ffeat%2Fx%231";
    let first = get(forge.http().port(), path, &[SHA, TOKEN]);
    assert_eq!((first.status, &first.body), (200, &sha));
    let quoted = format!("\"{sha}\"");
    assert_eq!(first.header("etag"), Some(quoted.as_str()));
    assert_eq!(first.header("content-type"), Some("application/vnd.github.sha; charset=utf-8"));
    let left = forge.budget().remaining;
    assert_eq!(first.header("x-ratelimit-remaining"), Some(left.to_string().as_str()));
    let second = get(forge.http().port(), path, &[SHA, TOKEN, ("If-None-Match", &quoted)]);
    assert_eq!((second.status, second.body.as_str()), (304, ""));
    assert_eq!(forge.budget().remaining, left);
    let moved = repo.commit("feat/x#1", &[("a", "2")], "second");
    let third = get(forge.http().port(), path, &[SHA, TOKEN, ("If-None-Match", &quoted)]);
    assert_eq!((third.status, &third.body), (200, &moved));
    assert_eq!(forge.budget().remaining, left - 1);
    let whole = get(forge.http().port(), path, &[TOKEN]);
    assert_eq!(json(&whole)["commit"]["message"], "second");
}

#[test]
fn github_refuses_in_its_own_words() {
    let (root, repo, forge) = github(false);
    let said = |path: &str, headers: &[(&str, &str)]| {
        let said = get(forge.http().port(), path, headers);
        (said.status, json(&said)["message"].as_str().unwrap().to_owned())
    };
    let main = "/repos/o/r/commits/heads%2Fmain";
    assert_eq!(said(main, &[TOKEN]), (409, "Git Repository is empty.".into()));
    repo.commit("main", &[], "first");
    let gone = "/repos/o/r/commits/heads%2Fgone";
    assert_eq!(said(gone, &[TOKEN]), (422, "No commit found for SHA: heads/gone".into()));
    assert_eq!(said("/repos/o/none", &[TOKEN]), (404, "Not Found".into()));
    assert_eq!(said(main, &[]), (404, "Not Found".into()));
    let wrong = ("Authorization", "Bearer wrong");
    assert_eq!(said(main, &[wrong]), (401, "Bad credentials".into()));
    forge.http().faults().next(1, "/repos/o/r", secondary_limit(Some("60")));
    let limited = get(forge.http().port(), main, &[TOKEN]);
    assert_eq!((limited.status, limited.header("retry-after")), (403, Some("60")));
    let mut budget = forge.budget();
    budget.remaining = 0;
    forge.set_budget(budget);
    let exceeded = get(forge.http().port(), main, &[TOKEN]);
    assert_eq!((exceeded.status, exceeded.header("x-ratelimit-remaining")), (403, Some("0")));
    assert_eq!(exceeded.header("x-ratelimit-reset"), Some(budget.reset.to_string().as_str()));
    drop(root);
}

#[test]
fn github_leads_from_a_renamed_repository_to_its_id_on_the_api_and_on_git() {
    let (root, repo, forge) = github(true);
    let sha = repo.commit("main", &[("a", "1")], "first");
    let port = forge.http().port();
    let id = json(&get(port, "/api/v3/repos/o/r", &[TOKEN]))["id"].clone();
    forge.rename("o/r", "new/name");
    let moved = get(port, "/api/v3/repos/o/r/commits/heads%2Fmain", &[TOKEN, SHA]);
    assert_eq!((moved.status, json(&moved)["message"].as_str()), (301, Some("Moved Permanently")));
    let location = moved.header("location").unwrap();
    assert_eq!(location, format!("{}/repositories/{id}/commits/heads%2Fmain", forge.api()));
    let path = location.strip_prefix(&forge.http().origin()).unwrap();
    assert_eq!(get(port, path, &[TOKEN, SHA]).body, sha);
    assert_eq!(json(&get(port, "/api/v3/repos/new/name", &[TOKEN]))["id"], id);
    let header = "http.extraHeader=Authorization: Bearer t0ken";
    let listed = git(root.path(), &[header], &["ls-remote", &forge.clone_url("o/r")]);
    assert!(stdout(&listed).starts_with(&sha));
    let strict = [header, "http.followRedirects=false"];
    assert!(!git(root.path(), &strict, &["ls-remote", &forge.clone_url("o/r")]).status.success());
}

#[test]
fn github_apps_get_a_token_that_api_and_git_accept() {
    let (root, repo, forge) = github(false);
    let sha = repo.commit("main", &[], "first");
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let jwt = |expires: i64| {
        let claims = format!(r#"{{"iss":"1","exp":{expires}}}"#);
        format!("Bearer {}.{}.c2ln", part(r#"{"alg":"RS256","typ":"JWT"}"#), part(&claims))
    };
    let mint = |authorization: &str| {
        let headers = [("Authorization", authorization)];
        ask(forge.http().port(), "POST", "/app/installations/42/access_tokens", &headers, "")
    };
    // The reset of the rate limit is an hour from now: both ends are told from it.
    let now = forge.budget().reset - 3600;
    assert_eq!(mint("Bearer t0ken").status, 401);
    assert_eq!(mint(&jwt(now - 60)).status, 401);
    assert_eq!(mint(&jwt(now + 7200)).status, 401);
    let minted = mint(&jwt(now + 300));
    assert_eq!(minted.status, 201, "{}", minted.body);
    let minted = json(&minted);
    assert!(minted["expires_at"].as_str().unwrap().ends_with('Z'));
    let bearer = format!("Bearer {}", minted["token"].as_str().unwrap());
    let head = "/repos/o/r/commits/heads%2Fmain";
    assert_eq!(get(forge.http().port(), head, &[SHA, ("Authorization", &bearer)]).body, sha);
    let header = format!("http.extraHeader=Authorization: {bearer}");
    assert!(
        stdout(&git(root.path(), &[&header], &["ls-remote", &forge.clone_url("o/r")]))
            .starts_with(&sha)
    );
}

#[test]
fn github_keeps_commit_statuses_and_checks_them() {
    let (_root, repo, forge) = github(false);
    let sha = repo.commit("main", &[], "first");
    let post = |sha: &str, body: &str| {
        ask(forge.http().port(), "POST", &format!("/repos/o/r/statuses/{sha}"), &[TOKEN], body)
            .status
    };
    assert_eq!(post(&sha, r#"{"state":"success","context":"sentry"}"#), 201);
    assert_eq!(post(&sha, r#"{"state":"great"}"#), 422);
    assert_eq!(post(&"1".repeat(40), r#"{"state":"success"}"#), 422);
    let kept = forge.statuses();
    assert_eq!(
        (kept.len(), &kept[0].sha, &kept[0].body["context"]),
        (1, &sha, &Value::from("sentry"))
    );
}

#[test]
fn gitlab_finds_projects_in_sub_groups_and_tells_what_is_missing() {
    let root = tempfile::tempdir().unwrap();
    let repo = BareRepo::create(root.path(), "top/sub/r.git");
    let sha = repo.commit("feat/x#1", &[("a", "1")], "first");
    let forge = GitLab::start(root.path(), ForgeOptions::default());
    forge.tokens().grant("t0ken");
    let branch = "/api/v4/projects/top%2Fsub%2Fr/repository/branches/feat%2Fx%231";
    let base64 = base64::engine::general_purpose::STANDARD.encode("oauth2:t0ken");
    let basic = format!("Basic {base64}");
    for header in
        [TOKEN, ("PRIVATE-TOKEN", "t0ken"), ("JOB-TOKEN", "t0ken"), ("Authorization", &basic)]
    {
        let said = get(forge.http().port(), branch, &[header]);
        assert_eq!(json(&said)["commit"]["id"], sha, "{header:?}");
        assert_eq!(said.header("ratelimit-limit"), Some("2000"));
    }
    let said = |path: &str, headers: &[(&str, &str)]| {
        let said = get(forge.http().port(), path, headers);
        (said.status, json(&said)["message"].as_str().unwrap().to_owned())
    };
    let gone = "/api/v4/projects/top%2Fsub%2Fr/repository/branches/gone";
    assert_eq!(said(gone, &[TOKEN]), (404, "404 Branch Not Found".into()));
    assert_eq!(
        said("/api/v4/projects/top%2Fnone", &[TOKEN]),
        (404, "404 Project Not Found".into())
    );
    assert_eq!(said(branch, &[]), (404, "404 Project Not Found".into()));
    assert_eq!(said(branch, &[("PRIVATE-TOKEN", "wrong")]), (401, "401 Unauthorized".into()));
    assert_eq!(said("/api/v4/user", &[]), (401, "401 Unauthorized".into()));
    let commit = format!("/api/v4/projects/top%2Fsub%2Fr/repository/commits/{sha}");
    assert_eq!(json(&get(forge.http().port(), &commit, &[TOKEN]))["title"], "first");
    let header = "http.extraHeader=Authorization: Bearer t0ken";
    let listed = git(root.path(), &[header], &["ls-remote", &forge.clone_url("top/sub/r")]);
    assert!(stdout(&listed).starts_with(&sha));
}

#[test]
fn gitlab_moves_limits_and_answers_conditionally() {
    let root = tempfile::tempdir().unwrap();
    let repo = BareRepo::create(root.path(), "g/r.git");
    repo.commit("main", &[], "first");
    let forge = GitLab::start(root.path(), ForgeOptions::default());
    let port = forge.http().port();
    let branch = "/api/v4/projects/g%2Fr/repository/branches/main";
    let first = get(port, branch, &[]);
    let etag = first.header("etag").unwrap();
    assert_eq!(get(port, branch, &[("If-None-Match", etag)]).status, 304);
    forge.rename("g/r", "g/new");
    let moved = get(port, branch, &[]);
    assert_eq!(moved.status, 301);
    let path = moved.header("location").unwrap().strip_prefix(&forge.http().origin()).unwrap();
    assert!(path.ends_with("/repository/branches/main"), "{path}");
    assert_eq!(get(port, path, &[]).body, first.body);
    let mut budget = forge.budget();
    // Its own window is a minute: this one does not end meanwhile.
    (budget.remaining, budget.reset) = (0, budget.reset + 3600);
    forge.set_budget(budget);
    let refused = get(port, path, &[]);
    assert_eq!((refused.status, refused.body.as_str()), (429, "Retry later\n"));
}
