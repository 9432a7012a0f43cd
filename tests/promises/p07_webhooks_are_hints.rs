//! 7: a webhook is a hint: whatever it says, only configured repositories are asked, at their configured forge.
//!
//! Every body is signed with the right secret: this is what a forge could say, or whoever has stolen the secret.

use std::collections::BTreeSet;

use fastrand::Rng;
use sentry_core::clock::{Clock as _, SystemClock};
use sentry_tests::ear::Ear;
use sentry_tests::forges::{ForgeOptions, github::GitHub, gitlab::GitLab};
use sentry_tests::gitserver::{GitOptions, GitServer};
use sentry_tests::http::HttpServer;
use sentry_tests::promise::{cases, kept};
use sentry_tests::repo::BareRepo;
use sentry_tests::road::TREE;
use sentry_tests::sandbox::{Sandbox, eventually};
use serde_json::{Value, json};
use tempfile::TempDir;

use sentry_tests::wire::{Wired, borrowed, github, gitlab, hourly};

const HUB_SECRET: &str = "Its-a-Secret-to-Everybody";
const LAB_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// GitHub and GitLab, each with a configured repository and one that is not, B on a git server, and an agent.
struct Site {
    hub: GitHub,
    lab: GitLab,
    git: GitServer,
    ear: Ear,
    served: Wired,
    _repos: TempDir,
    _sandbox: Sandbox,
}

impl Site {
    fn start() -> Self {
        let repos = TempDir::new().unwrap();
        let root = repos.path();
        for name in ["hub/app.git", "hub/other.git", "lab/app.git", "lab/other.git"] {
            BareRepo::create(root, name).commit("main", &[("README.md", "A")], "first");
        }
        BareRepo::create(root, "b.git").commit("main", TREE, "tests");
        let options = || ForgeOptions { enterprise: true, ..ForgeOptions::default() };
        let (hub, lab) = (GitHub::start(root, options()), GitLab::start(root, options()));
        let git = GitServer::start(root, GitOptions::default(), None);
        let sandbox = Sandbox::new();
        sandbox.write_config(&hourly(&hub, &lab, &git, [HUB_SECRET, LAB_SECRET]));
        let served = Wired::start(&sandbox, &[]);
        Self { hub, lab, git, ear: Ear::start(), served, _repos: repos, _sandbox: sandbox }
    }

    fn servers(&self) -> [(&'static str, &HttpServer); 3] {
        [("hub", self.hub.http()), ("lab", self.lab.http()), ("b", self.git.http())]
    }

    /// What was asked so far, each server's requests once.
    fn asked(&self) -> BTreeSet<String> {
        let all = self.servers().into_iter().flat_map(|(name, http)| {
            let line =
                move |r: &sentry_tests::http::Logged| format!("{name} {} {}", r.method, r.path);
            http.log().all().iter().map(line).collect::<Vec<_>>()
        });
        all.collect()
    }

    fn requests(&self) -> usize {
        self.servers().iter().map(|(_, http)| http.log().requests()).sum()
    }
}

/// Names of other repositories, of none, and of the configured one with something about it.
fn foreign(own: &str, port: u16, rng: &mut Rng) -> String {
    let (owner, name) = own.split_once('/').unwrap();
    let names = [
        format!("{owner}/other"),
        "lab/app/../other".to_owned(),
        format!("{own}/../other"),
        format!("{own}/../../other/app"),
        format!("{owner}/../{owner}/other"),
        format!("../{own}"),
        format!("/{own}"),
        format!("{own}/"),
        format!("{own}.git"),
        format!("{own}\0"),
        format!("{own}\n{owner}/other"),
        format!("{own}?x=1"),
        format!("{own}#x"),
        format!("{owner}%2F{name}"),
        format!("{owner}/%2e%2e/other"),
        own.to_uppercase(),
        format!("{owner}/App"),
        format!("{owner}/аpp"),
        format!("{owner}/app\u{200b}"),
        format!("{owner}／{name}"),
        format!("127.0.0.1:{port}/{own}"),
        format!("http://127.0.0.1:{port}/{own}"),
        format!("//127.0.0.1:{port}/{own}"),
        format!("x@127.0.0.1:{port}/{own}"),
        format!("ssh://127.0.0.1:{port}/{own}"),
        "-u/--upload-pack=x".to_owned(),
        "b".to_owned(),
        String::new(),
        "x/".repeat(rng.usize(..500)),
    ];
    names[rng.usize(..names.len())].clone()
}

/// A body with the forge's own keys, all of whose addresses lead to the ear.
fn body(own: &str, port: u16, is_lab: bool, case: usize, rng: &mut Rng) -> Vec<u8> {
    let is_own = rng.u8(..6) == 0;
    let path = if is_own { own.to_owned() } else { foreign(own, port, rng) };
    let place = format!("http://127.0.0.1:{port}/{own}");
    let ids = [json!(1), json!(1000), json!(1001), Value::Null, json!("1"), json!(-1)];
    let urls = [
        "clone_url",
        "html_url",
        "url",
        "git_url",
        "ssh_url",
        "git_http_url",
        "git_ssh_url",
        "http_url",
        "web_url",
        "homepage",
        "branches_url",
        "commits_url",
        "contents_url",
        "hooks_url",
    ];
    let mut repository: Value = urls
        .iter()
        .map(|key| ((*key).to_owned(), json!(place)))
        .collect::<serde_json::Map<_, _>>()
        .into();
    repository["id"] = ids[rng.usize(..ids.len())].clone();
    for key in ["full_name", "path_with_namespace", "name"] {
        repository[key] = json!(path);
    }
    let other = json!({"full_name": foreign(own, port, rng), "path_with_namespace": "x/y", "clone_url": place, "url": place});
    let refs = ["refs/heads/main", "refs/heads/other", "refs/heads/../x", "refs/tags/v1", ""];
    let mut body = json!({
        "ref": refs[rng.usize(..refs.len())],
        "object_kind": "push", "event_name": "push", "case": case,
        "before": "0".repeat(40), "after": "a".repeat(40), "compare": place,
        "repository": repository, "project": repository, "organization": other, "installation": {"id": 1, "access_tokens_url": place},
        "commits": [{"url": place, "id": "a".repeat(40)}], "sender": {"url": place},
    });
    if rng.u8(..10) == 0 {
        let keys = ["repository", "project", "ref"];
        body[keys[rng.usize(..keys.len())]] =
            [json!([repository]), json!("x"), Value::Null, json!(1)][rng.usize(..4)].clone();
    }
    let mut text = body.to_string();
    // Said twice, once so and once so.
    if rng.u8(..10) == 0 {
        let key = if is_lab { "project" } else { "repository" };
        text = format!("{{\"{key}\":{other},{}", &text[1..]);
    }
    if rng.u8(..20) == 0 {
        text.truncate(rng.usize(..text.len()));
        while !text.is_char_boundary(text.len()) {
            text.pop();
        }
    }
    text.into_bytes()
}

/// What a forge would send, and where.
fn signed(
    is_lab: bool,
    event: &str,
    id: &str,
    body: &[u8],
) -> (&'static str, Vec<(String, String)>) {
    if is_lab {
        let now = SystemClock.now().as_second();
        return ("/webhooks/gitlab", gitlab(LAB_SECRET, event, id, now, body));
    }
    ("/webhooks/github", github(HUB_SECRET, event, body))
}

#[test]
fn no_webhook_has_anything_asked_but_the_configured_repositories_at_their_forge() {
    let site = Site::start();
    eventually("all were asked once", || site.served.get("/readyz").0 == 200);
    // What honest hints have asked is what may be asked.
    for (is_lab, own) in [(false, "hub/app"), (true, "lab/app")] {
        let before = site.requests();
        let honest = json!({"ref": "refs/heads/main", "event_name": "push",
            "repository": {"full_name": own}, "project": {"path_with_namespace": own}})
        .to_string();
        let event = if is_lab { "Push Hook" } else { "push" };
        let (path, headers) = signed(is_lab, event, "honest", honest.as_bytes());
        let answer = site.served.post(path, &borrowed(&headers), honest.as_bytes());
        assert_eq!(answer, (202, "the repository is polled now\n".to_owned()), "{own}");
        eventually("its forge is asked", || site.requests() > before);
    }
    let (allowed, before) = (site.asked(), site.requests());
    let (all, began) = (cases(10_000, 300), std::time::Instant::now());
    let mut rng = Rng::with_seed(7);
    let mut statuses = std::collections::BTreeMap::<u16, usize>::new();
    let mut last = None;
    for case in 0..all {
        let is_lab = rng.bool();
        let (own, port) = (if is_lab { "lab/app" } else { "hub/app" }, site.ear.port());
        // A repetition is the very same request.
        let again = last.take().filter(|_| rng.u8(..10) == 0);
        let (path, headers, body) = again.unwrap_or_else(|| {
            let events: &[&str] = if is_lab {
                &["Push Hook", "System Hook", "Tag Push Hook"]
            } else {
                &["push", "create", "delete", "repository"]
            };
            let body = body(own, port, is_lab, case, &mut rng);
            let event = events[rng.usize(..events.len())];
            let (path, headers) = signed(is_lab, event, &case.to_string(), &body);
            (path, headers, body)
        });
        let (status, _) = site.served.post(path, &borrowed(&headers), &body);
        *statuses.entry(status).or_default() += 1;
        last = Some((path, headers, body));
    }
    // Whatever was started by the last one has come by then.
    std::thread::sleep(std::time::Duration::from_millis(2500));
    assert_eq!(String::from_utf8_lossy(&site.ear.heard()), "", "somebody else was asked");
    let foreign: Vec<_> = site.asked().difference(&allowed).cloned().collect();
    assert_eq!(foreign, Vec::<String>::new(), "allowed are {allowed:#?}");
    assert!(statuses.keys().all(|status| [202, 400].contains(status)), "{statuses:?}");
    let of = |result: &str| {
        site.served.counted("sentry_webhooks_total", &format!("result=\"{result}\""))
    };
    let (hints, unwatched, repeated) = (of("hint"), of("unwatched"), of("repeated"));
    assert!(hints > 2 && unwatched > hints && repeated > 0, "{hints} {unwatched} {repeated}");
    let requests = site.requests() - before;
    let most = usize::try_from(began.elapsed().as_secs()).unwrap() + 3;
    let for_one = allowed.iter().filter(|line| line.starts_with("hub ")).count().max(1);
    assert!(requests <= 2 * for_one * most, "{requests} requests in {most} s");
    assert_eq!(site.served.agent.term().code, Some(0));
    kept(
        7,
        "",
        &format!(
            "{all} forged and rightly signed: {hints} named a configured repository, {unwatched} another one, {repeated} were \
         repetitions; {requests} requests to the configured forges, 0 foreign requests, 0 bytes elsewhere"
        ),
    );
}
