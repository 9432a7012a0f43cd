//! The program itself, in sessions in which everything fails and repeats what it was told: what it says, keeps, serves
//! and starts is looked through.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sentry_apiserver::ApiServer;
use sentry_tests::forges::{ForgeOptions, github::GitHub, gitlab::GitLab};
use sentry_tests::gitserver::{GitOptions, GitServer};
use sentry_tests::http::Fault;
use sentry_tests::judge::canaries::{canary, found, plain_canary, ways_to_write};
use sentry_tests::promise::{cases, kept};
use sentry_tests::proxy::HttpProxy;
use sentry_tests::repo::BareRepo;
use sentry_tests::road::TREE;
use sentry_tests::sandbox::Sandbox;
use sentry_tests::strace::Strace;
use tempfile::TempDir;

use sentry_tests::wire::{Wired, borrowed, github};

type Headers = Vec<(String, String)>;

/// A run that clones A with what is lent to it.
const LENT: (&str, &str) = (
    ".tekton/lent.yaml",
    "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata: {generateName: lent-}\n\
     spec: {pipelineRef: {name: suite}, workspaces: [{name: w, secret: {secretName: '{{ git_auth_secret }}'}}]}\n",
);
/// Stands beside the secrets in every text that repeats them.
const ECHO: &str = "the-server-repeats";

/// Each secret by where it stands: a variable of the environment, `.env`, a file, the configuration itself.
fn secrets() -> Vec<(&'static str, String)> {
    let mut secrets: Vec<_> = [
        "hub-environment",
        "git-dotenv",
        "lab-file",
        "report-literal",
        "hook-environment",
        "hook-file",
        "read-file",
        "trigger-environment",
        "kubeconfig",
    ]
    .map(|name| (name, canary(name)))
    .into();
    secrets.push(("proxy-literal", plain_canary("proxy-literal")));
    secrets
}

fn secret(name: &str) -> String {
    secrets().into_iter().find(|(known, _)| *known == name).unwrap().1
}

/// Every secret in each so many-th way, each way of all of them before the next: what is cut holds all of them.
fn echo_of(step: usize) -> String {
    let ways: Vec<_> = secrets().iter().map(|(_, text)| ways_to_write(text)).collect();
    let each = (0..ways[0].len()).step_by(step);
    let texts: Vec<&str> = each.flat_map(|way| ways.iter().map(move |all| &*all[way].1)).collect();
    format!("{ECHO} {}", texts.join(" "))
}

fn echo() -> String {
    echo_of(1)
}

/// An echo that a header can hold.
fn short_echo() -> String {
    echo_of(4)
}

fn packet(text: &str) -> String {
    format!("{:04x}{text}", text.len() + 4)
}

fn faults() -> Vec<Fault> {
    let message = serde_json::json!({"message": echo(), "error": echo()}).to_string();
    let plain = short_echo();
    let mut faults = vec![
        Fault::status(403).body(&message),
        Fault::status(500).header("x-message", &plain).body(&echo()),
        Fault::status(200).header("content-type", &plain[..plain.len().min(3000)]).body(&echo()),
        Fault::Redirect {
            status: 302,
            to: format!("http://127.0.0.1:1/{}", secret("report-literal").replace(['"', '\\'], "")),
        },
    ];
    faults
        .extend([401, 404, 409, 422, 429, 503].map(|status| Fault::status(status).body(&message)));
    faults.extend([Fault::Garbage, Fault::Html, Fault::Truncated]);
    faults
}

struct Session {
    hub: GitHub,
    lab: GitLab,
    git: GitServer,
    proxy: HttpProxy,
    cluster: ApiServer,
    repos: TempDir,
    sandbox: Sandbox,
    /// What holds secrets because the test wrote it.
    own: Vec<PathBuf>,
    told: String,
    started: Vec<String>,
    paths: usize,
}

impl Session {
    fn begin() -> Self {
        let repos = TempDir::new().unwrap();
        let root = repos.path();
        for name in ["hub/app.git", "lab/app.git", "b.git"] {
            let tree = [TREE, &[LENT]].concat();
            let files: &[(&str, &str)] =
                if name == "b.git" { &tree } else { &[("README.md", "A")] };
            BareRepo::create(root, name).commit("main", files, "first");
        }
        let options = || ForgeOptions { enterprise: true, ..ForgeOptions::default() };
        let (hub, lab) = (GitHub::start(root, options()), GitLab::start(root, options()));
        let git = GitServer::start(root, GitOptions::default(), None);
        let password = secret("proxy-literal");
        let proxy = HttpProxy::start(Some(("user", &password)));
        hub.tokens().grant(&secret("hub-environment"));
        hub.tokens().grant(&secret("report-literal"));
        git.tokens().grant(&secret("git-dotenv"));
        lab.tokens().grant(&secret("lab-file"));
        let cluster = ApiServer::start();
        cluster.end_new_runs();
        let mut sandbox = Sandbox::new();
        sandbox.env("HUB", secret("hub-environment"));
        sandbox.env("HOOK", secret("hook-environment"));
        sandbox.env("TRIGGER", secret("trigger-environment"));
        let mut own = vec![
            sandbox.write(".env", format!("GIT='{}'\n", secret("git-dotenv"))),
            sandbox.write("lab.token", secret("lab-file")),
            sandbox.write("hook.secret", secret("hook-file")),
            sandbox.write("read.token", secret("read-file")),
        ];
        let kubeconfig = cluster.kubeconfig(sandbox.root());
        let text = std::fs::read_to_string(&kubeconfig).unwrap();
        let mut config: serde_json::Value = serde_json::from_str(&text).unwrap();
        config["users"][0]["user"] = serde_json::json!({ "token": secret("kubeconfig") });
        std::fs::write(&kubeconfig, config.to_string()).unwrap();
        own.push(kubeconfig);
        let mut session = Self {
            hub,
            lab,
            git,
            proxy,
            cluster,
            repos,
            sandbox,
            own,
            told: String::new(),
            started: Vec::new(),
            paths: 0,
        };
        session.configure();
        let first = session.sentry(&["watch", "--once"]);
        assert_eq!(first, Some(0), "{}", session.told);
        session
    }

    fn configure(&mut self) {
        let mut proxy: url::Url = self.proxy.url().parse().unwrap();
        proxy.set_username("user").unwrap();
        proxy.set_password(Some(&secret("proxy-literal"))).unwrap();
        let watch = |name: &str, url: String| {
            format!(
                "  - name: {name}\n    source: {{forge: {name}, url: '{}', branches: main}}\n",
                url.trim_end_matches(".git")
            )
        };
        let config = format!(
            "server:\n  read_token_file: read.token\n  trigger_token: '${{TRIGGER}}'\nforges:\n  \
             hub: {{type: github, url: '{}', token: '${{HUB}}', report_token: {}, webhook_secret: '${{HOOK}}'}}\n  \
             lab: {{type: gitlab, url: '{}', token_file: lab.token, webhook_secret_file: hook.secret, proxy: '{proxy}'}}\n  \
             plain: {{type: git, token: '${{GIT}}', git: program}}\ndefaults:\n  polling_interval: 1\n  max_retries: 0\n  \
             git_auth_secret: {{per_run: true}}\n  manifests: {{forge: plain, url: '{}', branch: main}}\n  \
             cluster: {{context: default, namespace: qa, kubectl: {{kubeconfig: '{}'}}}}\nwatches:\n{}{}",
            self.hub.http().origin(),
            serde_json::json!(secret("report-literal")),
            self.lab.http().origin(),
            self.git.url("b.git"),
            self.sandbox.root().join("kubeconfig").display(),
            watch("hub", self.hub.clone_url("hub/app")),
            watch("lab", self.lab.clone_url("lab/app")),
        );
        self.own.push(self.sandbox.write_config(&config));
    }

    /// Runs a command; what it said and every program that it started is kept.
    fn sentry(&mut self, args: &[&str]) -> Option<i32> {
        let strace = Strace::of_the_tree("execve").with_environments();
        let output = self.sandbox.spawn_under(&strace, args).wait();
        self.told += &format!("{}{}\n", output.stdout, output.stderr);
        self.started.extend(strace.lines());
        output.code
    }

    fn push(&self) -> Vec<String> {
        ["hub/app.git", "lab/app.git"]
            .map(|name| BareRepo::open(self.repos.path().join(name)))
            .map(|repo| repo.commit("main", &[("n", &self.started.len().to_string())], "work"))
            .into()
    }

    fn pass(&mut self) {
        self.push();
        self.paths += 1;
        let format = ["text", "json"][self.paths % 2];
        self.sentry(&["watch", "--once", "--log-level", "debug", "--log-format", format]);
    }

    /// The forges, B's server, git's own requests, the proxy and the cluster fail: each in every way, or in one.
    fn fail_everywhere(&mut self) {
        self.pass();
        let git_only = "GET /b.git/info/refs";
        for fault in faults() {
            for (places, request) in [(&[0, 1][..], ""), (&[2], git_only), (&[2], "")] {
                let servers = [self.hub.http(), self.lab.http(), self.git.http()];
                let faults: Vec<_> =
                    places.iter().map(|at| servers[*at].faults().clone()).collect();
                faults.iter().for_each(|faults| faults.until_cleared(request, fault.clone()));
                self.pass();
                faults.iter().for_each(sentry_tests::http::Faults::clear);
            }
        }
        self.cluster.faults().refuse_always("Task", "unit", 422, &echo());
        self.pass();
        self.cluster.faults().heal();
        self.fail_rarely();
    }

    fn fail_rarely(&mut self) {
        let refusal = packet(&format!("ERR {}\n", short_echo()));
        let result = Fault::status(200)
            .header("content-type", "application/x-git-upload-pack-result")
            .body(&refusal);
        self.git.http().faults().until_cleared("POST /b.git/git-upload-pack", result);
        self.pass();
        self.git.http().faults().clear();
        self.proxy.pause();
        self.pass();
        self.proxy.resume();
        for (kind, name, status) in
            [("Secret", "", 403), ("Secret", "", 422), ("Task", "unit", 403)]
        {
            self.cluster.faults().refuse_always(kind, name, status, &echo());
            self.pass();
            self.cluster.faults().heal();
            self.cluster.faults().refuse_write(kind, name, status, &echo());
            self.pass();
            self.cluster.faults().heal();
        }
    }

    /// All that the commands tell afterwards.
    fn ask(&mut self) {
        let head = self.push().remove(0);
        let history = self.sandbox.sentry(["history", "-o", "json"]).stdout;
        self.told += &history;
        let history: serde_json::Value = serde_json::from_str(&history).unwrap();
        let ids = history["deliveries"].as_array().unwrap().iter();
        let ids: Vec<String> =
            ids.take(cases(usize::MAX, 3)).map(|d| d["id"].as_str().unwrap().to_owned()).collect();
        let mut asked: Vec<Vec<&str>> = ids.iter().map(|id| vec!["show", id.as_str()]).collect();
        asked.extend([
            vec!["status"],
            vec!["history"],
            vec!["why", &head],
            vec!["validate"],
            vec!["validate", "--online"],
            vec!["explain"],
        ]);
        for args in asked {
            for format in ["json", "table"] {
                let output = self.sandbox.sentry([&args[..], &["-o", format]].concat());
                self.told += &format!("{}{}", output.stdout, output.stderr);
            }
        }
        let output = self.sandbox.sentry(["validate", "--print"]);
        self.told += &format!("{}{}", output.stdout, output.stderr);
    }

    /// All that is served while everything fails: health, metrics, the API, webhooks that are right and wrong.
    fn serve(&mut self) {
        let message = serde_json::json!({"message": echo()}).to_string();
        for http in [self.hub.http(), self.git.http()] {
            http.faults().until_cleared("", Fault::status(403).body(&message));
        }
        let head = self.push().remove(0);
        let strace = Strace::of_the_tree("execve").with_environments();
        let args = ["watch", "--listen", "127.0.0.1:0", "--log-level", "debug"];
        let served = Wired::of(self.sandbox.spawn_under(&strace, args));
        for _ in 0..3 {
            std::thread::sleep(std::time::Duration::from_millis(700));
            self.ask_server(&served, &head);
        }
        for (path, headers, body) in &requests() {
            let (status, text) = served.post(path, &borrowed(headers), body);
            self.told += &format!("{status} {text}\n");
            self.paths += usize::from(status >= 400);
        }
        let output = served.agent.term_traced();
        self.told += &format!("{}{}", output.stdout, output.stderr);
        self.started.extend(strace.lines());
        for http in [self.hub.http(), self.git.http()] {
            http.faults().clear();
        }
    }

    /// Whatever can be asked, with each token and with wrong ones.
    fn ask_server(&mut self, served: &Wired, head: &str) {
        let (read, trigger) = (secret("read-file"), secret("trigger-environment"));
        let api = ["status", "deliveries", "explain", "explain?watch=hub&branch=main"];
        let wrong = ["triggers/x", "deliveries/x", "why/x?y=z"];
        let mut paths = ["/livez", "/readyz", "/metrics", "/"].map(str::to_owned).to_vec();
        paths.extend(api.iter().chain(&wrong).map(|path| format!("/api/v1/{path}")));
        paths.push(format!("/api/v1/why/{head}"));
        for path in &paths {
            for token in [&read, &trigger, &format!("{read}x"), &secret("hub-environment")] {
                let bearer = format!("Bearer {token}");
                let headers = [("authorization", bearer.as_str())];
                let (status, body) = served.exchange("GET", path, &headers, b"");
                self.told += &format!("{status} {body}\n");
                self.paths += usize::from(status >= 400);
            }
        }
    }

    /// What was never used could not come up anywhere.
    fn used_all(&self) {
        for (http, name) in [
            (self.hub.http(), "hub-environment"),
            (self.hub.http(), "report-literal"),
            (self.lab.http(), "lab-file"),
            (self.git.http(), "git-dotenv"),
        ] {
            assert!(http.log().saw(&secret(name)), "{name} was never used");
        }
        let lent = self.cluster.objects_of("Secret");
        for name in ["hub-environment", "lab-file"] {
            let token = STANDARD.encode(secret(name));
            let is_lent =
                |secret: &serde_json::Value| secret["data"]["git-provider-token"] == token.as_str();
            assert!(lent.iter().any(is_lent), "{name} was not lent");
        }
    }

    fn files(&self) -> String {
        let files = walk(self.sandbox.root()).into_iter().filter(|path| !self.own.contains(path));
        files
            .filter_map(|path| std::fs::read(path).ok())
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .collect()
    }
}

/// Requests that are right, and wrong in each way: path, headers, body.
fn requests() -> Vec<(&'static str, Headers, Vec<u8>)> {
    let bearer = |token: &str| vec![("authorization".to_owned(), format!("Bearer {token}"))];
    let (read, trigger) = (secret("read-file"), secret("trigger-environment"));
    let hook = secret("hook-environment");
    let body = b"{\"ref\": \"x\", \"repository\": {\"full_name\": \"hub/app\"}}".to_vec();
    let mut shown = github(&hook, &hook, &body);
    shown.push(("x-gitlab-event".to_owned(), "Push Hook".to_owned()));
    let gitlab = |token: String| {
        let token = ("x-gitlab-token".to_owned(), token);
        shown.iter().cloned().chain([token]).collect()
    };
    let (push, of_another) = ("push", format!("{hook}x"));
    let asked = b"{\"watch\": \"hub\", \"branch\": \"main\"}".to_vec();
    vec![
        ("/api/v1/trigger", bearer(&trigger), asked),
        ("/api/v1/trigger", bearer(&read), b"{}".to_vec()),
        ("/api/v1/trigger", bearer(&trigger), b"{\"a\": ".to_vec()),
        ("/webhooks/github", github(&hook, push, &body), body.clone()),
        ("/webhooks/github", github(&of_another, push, &body), body.clone()),
        ("/webhooks/gitlab", gitlab(format!("{}x", secret("hook-file"))), body.clone()),
        ("/webhooks/gitlab", gitlab(secret("hook-file")), body),
    ]
}

fn walk(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries.flat_map(|e| if e.path().is_dir() { walk(&e.path()) } else { vec![e.path()] }).collect()
}

/// What was started, with its arguments, and the environment that it was given; none of it is Sentry itself.
fn children(started: &[String]) -> Vec<(&str, &str)> {
    let calls = started.iter().filter(|line| line.contains("execve(") && line.ends_with(" = 0"));
    let parts = calls.filter_map(|line| line.split_once("], ["));
    parts.filter(|(program, _)| !program.contains("/sentry\"")).collect()
}

#[test]
fn no_secret_is_said_stored_served_or_given_to_a_program_that_does_not_need_it() {
    let all = secrets();
    let every: Vec<&str> = all.iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!(found(&echo(), &every).len(), every.len(), "the judge finds what it looks for");
    let mut session = Session::begin();
    session.fail_everywhere();
    session.serve();
    session.ask();

    let (files, children) = (session.files(), children(&session.started));
    let programs: Vec<&str> = children.iter().map(|(program, _)| *program).collect();
    let programs = programs.join("\n");
    for (place, text) in
        [("what was said", &session.told), ("files", &files), ("arguments", &programs)]
    {
        assert_eq!(found(text, &every), [], "in {place}");
    }
    // git gets the token of its own server, and the proxy's password, in its environment and nowhere else.
    let (mut given, mut others) = (0, String::new());
    for (program, environment) in &children {
        if program.contains("/git") {
            let finds = found(environment, &every);
            let tokens =
                finds.iter().filter(|(secret, _)| *secret != self::secret("proxy-literal"));
            assert!(tokens.count() <= 1, "{program} is given tokens of two servers");
            for (secret, near) in finds {
                let own = ["hub-environment", "git-dotenv", "lab-file", "proxy-literal"];
                let is_own = own.iter().any(|name| self::secret(name) == secret);
                assert!(is_own, "{program} is given {near}");
                given += 1;
            }
        } else {
            others += environment;
            others += "\n";
        }
    }
    assert_eq!(found(&others, &every), [], "in the environment of another program than git");

    for program in ["\"fetch\"", "kubectl", "\"apply\"", "\"create\""] {
        assert!(programs.contains(program), "{program} was not seen to start");
    }
    assert!(given > 0, "no environment was seen");
    session.used_all();
    assert!(files.contains(ECHO), "no error was stored");
    assert!(
        session.told.contains("[redacted]") && session.told.contains(ECHO),
        "nothing was quoted"
    );
    let quoted = |line: &str| line.contains("Task unit (t.yml, document 1)") && line.contains(ECHO);
    assert!(session.told.lines().any(quoted), "the cluster's words were not quoted");
    assert!(session.told.contains("sentry_webhooks_total{"), "no metrics were seen");
    let paths = session.paths;
    kept(
        35,
        "the program",
        &format!(
            "{paths} failing sessions and requests: 0 hits in {} KiB of output and answers, {} KiB of files, the arguments of {} \
         programs and the environments of all but git",
            session.told.len() >> 10,
            files.len() >> 10,
            children.len()
        ),
    );
}
