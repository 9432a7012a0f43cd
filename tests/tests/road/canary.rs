//! Tokens that are recognised wherever they turn up, in sessions in which everything fails and repeats them.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use sentry_tests::apiserver::ApiServer;
use sentry_tests::forges::{ForgeOptions, github::GitHub, gitlab::GitLab};
use sentry_tests::gitserver::{GitOptions, GitServer};
use sentry_tests::http::Fault;
use sentry_tests::repo::BareRepo;
use sentry_tests::sandbox::{Output, Sandbox};
use sentry_tests::strace::Strace;
use tempfile::TempDir;

use sentry_tests::road::TREE;

/// One from the environment, one from `.env`, one from a file. Their characters change in every encoding.
const HUB: &str = "Canary/Hub+5e1F==a0";
const GIT: &str = "Canary/Git+77aB==b1";
const LAB: &str = "Canary/Lab+c04D==c2";
const CANARIES: [&str; 3] = [HUB, GIT, LAB];
/// A run that clones A with a Secret that Sentry makes of the token of A's forge.
const LENT: (&str, &str) = (
    ".tekton/lent.yaml",
    "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata: {generateName: lent-}\n\
     spec: {pipelineRef: {name: suite}, workspaces: [{name: w, secret: {secretName: '{{ git_auth_secret }}'}}]}\n",
);
/// Stands beside the canaries in every text that repeats them: where it is, the canaries were as well.
const ECHO: &str = "the-server-repeats";

/// The canary as it is, URL-encoded with digits of either case, and base64 alone and behind the user names that git is
/// asked with.
fn forms(canary: &str) -> Vec<String> {
    let url = |digits: fn(u8) -> String| -> String {
        let plain = |byte: &u8| byte.is_ascii_alphanumeric();
        canary
            .bytes()
            .map(|b| if plain(&b) { char::from(b).to_string() } else { digits(b) })
            .collect()
    };
    let mut forms =
        vec![canary.to_owned(), url(|b| format!("%{b:02X}")), url(|b| format!("%{b:02x}"))];
    for user in ["", ":", "git:", "oauth2:", "x-access-token:", "private-token:"] {
        let text = format!("{user}{canary}");
        forms.extend([STANDARD.encode(&text), URL_SAFE.encode(&text)]);
    }
    forms.iter().map(|form| form.trim_end_matches('=').to_owned()).collect()
}

/// Every form of every canary that a text holds.
fn found(text: &str) -> Vec<String> {
    CANARIES.iter().flat_map(|canary| forms(canary)).filter(|form| text.contains(form)).collect()
}

/// What a server says that repeats all it was told, in every form.
fn echo() -> String {
    format!("{ECHO} {}", CANARIES.map(|canary| forms(canary).join(" ")).join(" "))
}

fn packet(text: &str) -> String {
    format!("{:04x}{text}", text.len() + 4)
}

/// Everything that may be wrong with an answer, with the canaries in it.
fn faults() -> Vec<Fault> {
    let message = serde_json::json!({ "message": echo() }).to_string();
    let mut faults: Vec<_> =
        [401, 403, 404, 422, 500, 503].map(|status| Fault::status(status).body(&message)).into();
    faults.push(Fault::status(200).body(&message));
    faults.push(Fault::status(500).header("x-request-id", &echo()).body(&echo()));
    faults.push(Fault::status(403).header("content-type", "text/plain").body(&echo()));
    faults
        .push(Fault::Redirect { status: 302, to: format!("http://127.0.0.1:1/{HUB}/{GIT}/{LAB}") });
    faults.extend([Fault::Garbage, Fault::Html, Fault::Truncated]);
    faults
}

/// Refusals in git's own protocol: to the one who asks for branches, and to the git that fetches.
fn refusals() -> Vec<(&'static str, Fault)> {
    let refusal = packet(&format!("ERR {}\n", echo()));
    let service = packet("# service=git-upload-pack\n");
    let answer = |what: &str, body: String| {
        let content = format!("application/x-git-upload-pack-{what}");
        Fault::status(200).header("content-type", &content).body(&body)
    };
    vec![
        ("POST /b.git/git-upload-pack", answer("result", refusal.clone())),
        ("GET /b.git/info/refs", answer("advertisement", format!("{service}0000{refusal}"))),
    ]
}

/// GitHub and GitLab with A, a git server with B, a cluster, and all that was seen of the sessions.
struct Session {
    hub: GitHub,
    lab: GitLab,
    git: GitServer,
    cluster: ApiServer,
    repos: TempDir,
    sandbox: Sandbox,
    /// The files that hold the canaries because the test wrote them.
    own: Vec<PathBuf>,
    told: String,
    started: Vec<String>,
}

impl Session {
    fn begin() -> Self {
        let repos = TempDir::new().unwrap();
        let root = repos.path();
        let tree = [TREE, &[LENT]].concat();
        for name in ["hub/app.git", "lab/app.git", "b.git"] {
            let files: &[(&str, &str)] =
                if name == "b.git" { &tree } else { &[("README.md", "A")] };
            BareRepo::create(root, name).commit("main", files, "first");
        }
        let options = || ForgeOptions { enterprise: true, ..ForgeOptions::default() };
        let (hub, lab) = (GitHub::start(root, options()), GitLab::start(root, options()));
        let git = GitServer::start(root, GitOptions::default(), None);
        hub.tokens().grant(HUB);
        git.tokens().grant(GIT);
        lab.tokens().grant(LAB);
        let cluster = ApiServer::start();
        cluster.end_new_runs();
        let mut sandbox = Sandbox::new();
        sandbox.env("HUB", HUB);
        let own =
            vec![sandbox.write(".env", format!("GIT='{GIT}'\n")), sandbox.write("lab.token", LAB)];
        let mut session = Self {
            hub,
            lab,
            git,
            cluster,
            repos,
            sandbox,
            own,
            told: String::new(),
            started: Vec::new(),
        };
        session.configure();
        let first = session.sentry(&["watch", "--once"]);
        assert_eq!(first.code, Some(0), "{first:?}");
        session
    }

    fn configure(&self) {
        let watch = |name: &str, url: String| {
            format!(
                "  - name: {name}\n    source: {{forge: {name}, url: '{}', branches: main}}\n",
                url.trim_end_matches(".git")
            )
        };
        let config = format!(
            "forges:\n  hub: {{type: github, url: '{}', token: '${{HUB}}'}}\n  \
             lab: {{type: gitlab, url: '{}', token_file: lab.token}}\n  plain: {{type: git, token: '${{GIT}}'}}\n\
             defaults:\n  polling_interval: 1\n  max_retries: 0\n  \
             git_auth_secret: {{per_run: true}}\n  manifests: {{forge: plain, url: '{}', branch: main}}\n  \
             cluster: {{context: default, namespace: qa, kubectl: {{kubeconfig: '{}'}}}}\nwatches:\n{}{}",
            self.hub.http().origin(),
            self.lab.http().origin(),
            self.git.url("b.git"),
            self.cluster.kubeconfig(self.sandbox.root()).display(),
            watch("hub", self.hub.clone_url("hub/app")),
            watch("lab", self.lab.clone_url("lab/app")),
        );
        self.sandbox.write_config(&config);
    }

    /// Runs a command and keeps what it said and every program that was started, with all arguments.
    fn sentry(&mut self, args: &[&str]) -> Output {
        let strace = Strace::of_the_tree("execve");
        let output = self.sandbox.spawn_under(&strace, args).wait();
        self.told += &format!("{}{}", output.stdout, output.stderr);
        self.started.extend(strace.lines());
        output
    }

    /// A push and a pass in each log format, everything logged.
    fn pass(&mut self) {
        for format in ["text", "json"] {
            self.push();
            self.sentry(&["watch", "--once", "--log-level", "debug", "--log-format", format]);
        }
    }

    fn push(&self) -> Vec<String> {
        ["hub/app.git", "lab/app.git"]
            .map(|name| BareRepo::open(self.repos.path().join(name)))
            .map(|repo| repo.commit("main", &[("n", &self.started.len().to_string())], "work"))
            .into()
    }

    /// The forges, then B's server, then the cluster fail in every way while the others work.
    fn fail_everywhere(&mut self) {
        for fault in faults() {
            self.hub.http().faults().until_cleared("", fault.clone());
            self.lab.http().faults().until_cleared("", fault.clone());
            self.pass();
            self.hub.http().faults().clear();
            self.lab.http().faults().clear();
            self.git.http().faults().until_cleared("", fault.clone());
            self.pass();
            self.git.http().faults().clear();
            // Only git asks for this: Sentry, which asks for the branches, sees a server that is well.
            self.git.http().faults().until_cleared("GET /b.git/info/refs", fault);
            self.pass();
            self.git.http().faults().clear();
        }
        for (request, fault) in refusals() {
            self.git.http().faults().until_cleared(request, fault);
            self.pass();
            self.git.http().faults().clear();
        }
        // The Secret that is lent has another name for each commit.
        for (kind, name) in [("Task", "unit"), ("Pipeline", "suite"), ("Secret", "")] {
            self.cluster.faults().refuse_always(kind, name, 422, &echo());
            self.pass();
            self.cluster.faults().heal();
            self.cluster.faults().refuse_write(kind, name, 403, &echo());
            self.pass();
            self.cluster.faults().heal();
        }
    }

    /// All that the commands for people and machines say about it afterwards.
    fn ask(&mut self, head: &str) {
        let history = self.sentry(&["history", "-o", "json"]).stdout;
        let history: serde_json::Value = serde_json::from_str(&history).unwrap();
        let ids: Vec<_> =
            history["deliveries"].as_array().unwrap().iter().map(|d| d["id"].clone()).collect();
        assert!(ids.len() > 10, "{history}");
        for format in ["json", "table"] {
            for id in &ids {
                self.sentry(&["show", id.as_str().unwrap(), "-o", format]);
            }
            for args in [
                &["status"][..],
                &["history"],
                &["why", head],
                &["validate"],
                &["validate", "--online"],
            ] {
                self.sentry(&[args, &["-o", format]].concat());
            }
        }
        self.sentry(&["validate", "--print"]);
        self.sentry(&["explain"]);
    }

    /// The bytes of every file below the home directory that the test did not write itself.
    fn files(&self) -> String {
        let files = walk(self.sandbox.root()).into_iter().filter(|path| !self.own.contains(path));
        files
            .filter_map(|path| std::fs::read(path).ok())
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .collect()
    }
}

fn walk(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries.flat_map(|e| if e.path().is_dir() { walk(&e.path()) } else { vec![e.path()] }).collect()
}

#[test]
fn no_token_in_any_form_is_logged_stored_shown_or_passed_as_an_argument() {
    assert_eq!(found(&echo()).len(), 3 * forms(HUB).len(), "the search finds what it looks for");
    let mut session = Session::begin();
    session.fail_everywhere();
    session.pass();
    let head = session.push().remove(0);
    session.sentry(&["watch", "--once"]);
    session.ask(&head);

    for (http, canary) in
        [(session.hub.http(), HUB), (session.git.http(), GIT), (session.lab.http(), LAB)]
    {
        assert!(http.log().saw(canary), "{canary} was never used");
    }
    let programs = session.started.join("\n");
    for program in ["\"fetch\"", "\"ls-tree\"", "kubectl", "\"apply\"", "\"create\""] {
        assert!(programs.contains(program), "{program} was not seen to start");
    }
    let lent = session.cluster.objects_of("Secret");
    for canary in [HUB, LAB] {
        let is_lent = |secret: &serde_json::Value| {
            secret["data"]["git-provider-token"] == STANDARD.encode(canary).as_str()
        };
        assert!(lent.iter().any(is_lent), "{canary} was not lent");
    }
    let files = session.files();
    assert!(files.contains(&head), "the state was not read");
    for repeated in [
        format!("git said: fatal: remote error: {ECHO} [redacted]"),
        format!("(reading its refs): git said: {ECHO} [redacted]"),
        format!("Task unit (t.yml, document 1): {ECHO} [redacted]"),
    ] {
        assert!(session.told.contains(&repeated), "{repeated}: {}", session.told);
    }
    assert!(files.contains(ECHO), "no error was stored");
    for (place, text) in [("texts", &session.told), ("files", &files), ("arguments", &programs)] {
        assert_eq!(found(text), Vec::<String>::new(), "in {place}");
    }
}
