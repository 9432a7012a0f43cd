//! 32: no ref, URL, path, namespace or name reaches a program as an option.

use std::ffi::OsString;
use std::path::Path;

use fastrand::Rng;
use sentry_tests::judge::argv;
use sentry_tests::judge::given::{Given, Names};
use sentry_tests::processes::script;
use sentry_tests::promise::{cases, kept};
use sentry_tests::sandbox::Sandbox;

/// What programs take for an option, a command or another protocol.
const HOSTILE: &[&str] = &[
    "--upload-pack=touch /tmp/x",
    "-u",
    "--",
    "-",
    "--end-of-options",
    "-oProxyCommand=id",
    "%2doProxyCommand=id",
    "--exec=id",
    "--config=/x",
    "-c core.sshCommand=id",
    "--kubeconfig=/x",
    "--server=http://127.0.0.1:1",
    "--token=x",
    "-f/etc/passwd",
    "--raw=/x",
    "-n kube-system",
    "ext::sh -c id",
    "fd::17",
    "$(id)",
    "`id`",
    ";id",
    "|id",
    "\n--force",
    "\0--force",
    "=--x",
    "@{-1}",
    "..",
    ":/x",
    ":(exclude)x",
    "*",
    "–upload-pack",
];
const URLS: &[&str] = &[
    "https://host/a/b",
    "ssh://git@host/a/b",
    "git@host:a/b",
    "file:///srv/a.git",
    "http://127.0.0.1:1/a",
    "ssh://",
    "file://",
    "",
];
const BRANCHES: &[&str] = &["main", "release/1.0", "release/*", "a"];
const COMMITS: &[&str] = &["1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d", "main"];
const PLAIN: &[&str] = &["qa", "a", "prod", "x-1"];

/// A text with something hostile at some place of it.
fn text(rng: &mut Rng, plain: &[&str]) -> String {
    let mut text = plain[rng.usize(..plain.len())].to_owned();
    for _ in 0..[0, 0, 0, 1, 1, 2][rng.usize(..6)] {
        let places: Vec<usize> = (0..=text.len()).filter(|at| text.is_char_boundary(*at)).collect();
        // Often where a name or a part of it starts.
        let start = text.find("//").map_or(0, |at| at + 2);
        let last = text.rfind(['/', '@', ':']).map_or(0, |at| at + 1);
        let at = [0, start, last, places[rng.usize(..places.len())]][rng.usize(..4)];
        match rng.u8(0..4) {
            0 => text.insert(at, '-'),
            1 => text.insert(at, rng.char(..)),
            _ => text.insert_str(at, HOSTILE[rng.usize(..HOSTILE.len())]),
        }
    }
    text
}

fn names(rng: &mut Rng) -> Names {
    let mut one = |plain| text(rng, plain);
    Names {
        url: one(URLS),
        branch: one(BRANCHES),
        dir: one(PLAIN),
        commit: one(COMMITS),
        context: one(PLAIN),
        namespace: one(PLAIN),
        name: one(PLAIN),
    }
}

#[test]
fn no_option_is_in_the_arguments_of_any_program() {
    let given = Given::new();
    let mut rng = Rng::with_seed(32);
    let number = cases(1_000_000, 2_000);
    let mut started = 0;
    for _ in 0..number {
        started += given.judge(&names(&mut rng)).unwrap();
    }
    assert!(started > number, "names come as far as programs");
    kept(32, "as built", &format!("{number} fuzzed, {started} programs: 0 options"));
}

/// A program that writes its arguments down, one line for each call, and fails.
fn stub(home: &Path, name: &str) {
    let path = home.join(name);
    let log = home.join("calls").display().to_string();
    // A NUL ends each argument, so that no line break in one is taken for its end. All in one go: two programs may be
    // started at a time.
    let text = format!("#!/bin/sh\nprintf '%s\\0' {name} \"$@\" '\n' >> '{log}'\nexit 1\n");
    script(&path, &text);
}

/// The calls that stubs wrote down.
fn calls(home: &Path) -> Vec<(String, Vec<OsString>)> {
    let log = std::fs::read(home.join("calls")).unwrap_or_default();
    let Some(log) = log.strip_suffix(b"\0\n\0") else { return Vec::new() };
    let words: Vec<_> = log.split(|&byte| byte == 0).map(String::from_utf8_lossy).collect();
    let calls = words.split(|word| word == "\n");
    let call = |call: &[std::borrow::Cow<'_, str>]| {
        Some((
            call.first()?.to_string(),
            call[1..].iter().map(|word| OsString::from(&**word)).collect(),
        ))
    };
    calls.filter_map(call).collect()
}

#[test]
fn no_option_reaches_a_program_that_was_started() {
    let mut rng = Rng::with_seed(33);
    let number = cases(1_000, 20);
    let (mut configured, mut started) = (0, 0);
    for _ in 0..number {
        let mut sandbox = Sandbox::new();
        for program in ["git", "kubectl"] {
            stub(sandbox.root(), program);
        }
        let path = format!("{}:/usr/bin:/bin", sandbox.root().display());
        sandbox.env("PATH", &path);
        let names = names(&mut rng);
        sandbox.write_config(&config(&names));
        configured += usize::from(sandbox.sentry(["validate"]).code == Some(0));
        sandbox.sentry(["validate", "--online"]);
        sandbox.sentry(["watch", "--once"]);
        for (program, args) in calls(sandbox.root()) {
            let problem = argv::problem(&program, &args);
            assert_eq!(problem, None, "{program} {args:?} by {names:?}");
            started += 1;
        }
    }
    assert!(configured > number / 20 && started > configured, "{configured} {started}");
    kept(
        32,
        "as started",
        &format!("{number} configurations, {started} programs started: 0 options"),
    );
}

/// A file with these names in it, as JSON texts, which YAML reads as they are.
fn config(names: &Names) -> String {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    // A URL over HTTP would be asked without a program.
    let url = if names.url.starts_with("http") { "file:///srv/a.git" } else { &names.url };
    format!(
        "forges:\n  plain: {{type: git}}\nwatches:\n  - name: qa\n    on_first_sight: deliver\n    \
         source: {{forge: plain, url: {url}, branches: [{branch}]}}\n    \
         manifests: {{forge: plain, url: {url}, branch: {branch}, dir: {dir}}}\n    \
         cluster: {{context: {context}, namespace: {namespace}}}\n",
        url = quoted(url),
        branch = quoted(&names.branch),
        dir = quoted(&names.dir),
        context = quoted(&names.context),
        namespace = quoted(&names.namespace),
    )
}
