//! `sentry init`: what it writes can be used as it is, whatever is typed.

use crate::sandbox::Sandbox;

const A: &str = "https://github.com/example/repo-a";
const B: &str = "https://github.com/example/repo-b";

fn init<'a>(source: &'a str, manifests: &'a str) -> [&'a str; 5] {
    ["init", "--source", source, "--manifests", manifests]
}

/// The text without the `# ` of its commented sections.
fn uncommented(text: &str) -> String {
    let (before, sections) = text.split_once("\n# server:").unwrap();
    let lines = sections.lines().map(|line| line.strip_prefix("# ").unwrap_or(line));
    // A sentence ends with a full stop; a key doesn't.
    let keys: Vec<_> = lines.filter(|line| !line.ends_with('.') && !line.contains(". ")).collect();
    format!("{before}\nserver:{}\n", keys.join("\n"))
}

#[test]
fn what_init_writes_loads_and_is_not_overwritten() {
    let sandbox = Sandbox::new();
    let init = [
        "init",
        "--source",
        "https://github.com/example/repo-a",
        "--branches",
        "main,release/*",
        "--manifests",
        "https://gitlab.example.com/qa/repo-b",
    ];
    sandbox.ok(&init);
    let env = sandbox.read(".env.example");
    assert!(env.contains("\nGITHUB_TOKEN=\n") && env.contains("\nGITLAB_TOKEN=\n"), "{env}");
    assert_eq!(sandbox.run(&["validate"]).code, 2, "tokens are not filled in");
    sandbox.write(".env", "GITHUB_TOKEN=ghp_0123456789\nGITLAB_TOKEN=glpat-0123456789\n");
    assert!(sandbox.ok(&["validate"]).contains("sentry.yaml is valid: 1 watch, 2 forges"));
    assert!(sandbox.read("sentry.yaml").contains("      deployer: native "));
    let printed = sandbox.ok(&["validate", "--print"]);
    assert!(printed.contains("${GITHUB_TOKEN}") && !printed.contains("ghp_"), "{printed}");
    let again = sandbox.run(&init);
    assert_eq!(again.code, 2);
    assert!(again.stderr.contains("--force"), "{}", again.stderr);
    sandbox.write("sentry.yaml", "broken");
    sandbox.ok(&[&init[..], &["--force"]].concat());
    sandbox.ok(&["validate"]);
}

#[test]
fn init_knows_a_gitea_and_a_forgejo_by_their_hosts() {
    let sandbox = Sandbox::new();
    let (a, b) = ("https://forgejo.example.com/example/a", "https://codeberg.org/example/b");
    sandbox.ok(&["init", "--source", a, "--branches", "main", "--manifests", b]);
    let yaml = sandbox.read("sentry.yaml");
    assert_eq!(yaml.matches("type: gitea").count(), 2, "{yaml}");
    assert!(yaml.contains("url: \"https://codeberg.org\""), "{yaml}");
    let env = sandbox.read(".env.example");
    assert!(env.contains("write:repository") && env.contains("\nGITEA_B_TOKEN=\n"), "{env}");
    sandbox.write(".env", "GITEA_TOKEN=0123456789abcdef\nGITEA_B_TOKEN=fedcba9876543210\n");
    assert!(sandbox.ok(&["validate"]).contains("sentry.yaml is valid: 1 watch, 2 forges"));
}

#[test]
fn init_without_a_terminal_names_the_missing_flag() {
    let run = Sandbox::new().run(&["init", "--manifests", "https://github.com/example/b"]);
    assert_eq!(run.code, 2);
    assert!(run.stderr.starts_with("error: --source is missing"), "{}", run.stderr);
}

#[test]
fn every_kind_of_url_is_written_as_it_was_typed() {
    for (typed, kind) in [
        ("https://github.com/example/repo-a", "github"),
        ("https://github.com/example/repo-a.git", "github"),
        ("https://github.com/example/repo-a/", "github"),
        ("https://GitHub.com/Example/Repo-A.git", "github"),
        ("https://github.com:443/example/repo-a", "github"),
        ("https://gitlab.example.com:8443/group/sub/repo-a.git", "gitlab"),
        ("https://code.example.com/repo-a", "git"),
        ("https://code.example.com/with%20space/repo-a", "git"),
        ("http://127.0.0.1:3000/example/repo-a.git", "git"),
        ("http://[::1]:3000/example/repo-a", "git"),
        ("git@github.com:example/repo-a.git", "git"),
        ("github.com:example/repo-a", "git"),
        ("[git@code.example.com:2222]:repo-a.git", "git"),
        ("ssh://git@code.example.com/repo-a.git", "git"),
        ("ssh://git@code.example.com:2222/~/repo-a", "git"),
        ("file:///srv/git/repo-a.git", "git"),
        ("file:///srv/git/repo-a/", "git"),
    ] {
        let sandbox = Sandbox::new();
        sandbox.ok(&init(typed, "file:///srv/git/repo-b.git"));
        let yaml = sandbox.read("sentry.yaml");
        assert!(yaml.contains(&format!("\n      url: \"{typed}\"\n")), "{typed}: {yaml}");
        assert!(yaml.contains(&format!("    type: {kind}\n")), "{typed}: {yaml}");
        sandbox.write(".ssh/id_ed25519", "");
        let tokens =
            ["GITHUB_TOKEN", "GITLAB_TOKEN", "GIT_TOKEN"].map(|name| (name, "0123456789abcdef"));
        let run = sandbox.run_in(&tokens, &["validate"]);
        let is_ssh = yaml.contains("key_file");
        assert!(run.code == 0 || is_ssh && run.stderr.contains("key_file"), "{typed}: {run:?}");
    }
}

#[test]
fn a_url_with_a_credential_is_refused_and_the_credential_is_not_repeated() {
    for url in [
        "https://c4n4ry@github.com/example/repo-a",
        "https://somebody:c4n4ry@github.com/example/repo-a.git",
        "https://oauth2:c4n4ry@gitlab.example.com:8443/group/repo-a",
        "http://x:c4n4ry@127.0.0.1/repo-a",
        "ssh://git:c4n4ry@code.example.com/repo-a",
        "git:c4n4ry@code.example.com:repo-a",
        "https://github.com/example/repo-a?private_token=c4n4ry",
        "https://github.com/example/repo-a#c4n4ry",
    ] {
        for args in [init(url, B), init(A, url)] {
            let sandbox = Sandbox::new();
            let run = sandbox.run(&args);
            assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{url}: {run:?}");
            assert!(!run.stderr.contains("c4n4ry") && !run.stderr.is_empty(), "{url}: {run:?}");
            assert!(!sandbox.path("sentry.yaml").exists(), "{url}");
        }
    }
}

#[test]
fn the_context_is_the_one_that_kubectl_would_use() {
    let sandbox = Sandbox::new();
    let context = || {
        let yaml = sandbox.read("sentry.yaml");
        let line = yaml.lines().find_map(|line| line.strip_prefix("      context: "));
        line.map(|line| line.split(" #").next().unwrap().trim_end().to_owned())
    };
    let again = [&init(A, B)[..], &["--force"]].concat();
    let without = sandbox.ok(&again);
    assert_eq!(context(), None);
    assert!(without.contains("note: no kubeconfig with a current context was found"), "{without}");
    sandbox.write(".kube/config", "current-context: arn:aws:eks:eu-west-1:1:cluster/qa\n");
    assert!(!sandbox.ok(&again).contains("note:"));
    assert_eq!(context().unwrap(), "\"arn:aws:eks:eu-west-1:1:cluster/qa\"");
    sandbox.write("other", "{\"current-context\": \"kind-qa\"}");
    let list = format!("{}:{}", sandbox.path("absent").display(), sandbox.path("other").display());
    assert_eq!(sandbox.run_in(&[("KUBECONFIG", &list)], &again).code, 0);
    assert_eq!(context().unwrap(), "\"kind-qa\"");
    sandbox.ok(&[&again[..], &["--context", "prod"]].concat());
    assert_eq!(context().unwrap(), "\"prod\"");
}

#[test]
fn the_page_and_notifications_are_there_to_be_taken_out_of_their_comments() {
    let sandbox = Sandbox::new();
    sandbox.ok(&init(A, B));
    let (yaml, env) = (uncommented(&sandbox.read("sentry.yaml")), sandbox.read(".env.example"));
    assert!(yaml.contains("\n  trigger_token: ") && yaml.contains("\nnotify:\n"), "{yaml}");
    sandbox.write("sentry.yaml", &yaml);
    let filled = env.replace("# PAGE_TOKEN=", "PAGE_TOKEN=0123456789abcdef0123456789abcdef");
    let filled = filled.replace("# CHAT_URL=", "CHAT_URL=https://chat.example.com/hooks/x");
    sandbox.write(".env", &filled.replace("GITHUB_TOKEN=", "GITHUB_TOKEN=ghp_0123456789"));
    assert!(sandbox.ok(&["validate"]).contains("sentry.yaml is valid"), "{yaml}");
    let printed = sandbox.ok(&["validate", "--print"]);
    assert!(printed.contains("qa-chat") && printed.contains("trigger_token"), "{printed}");
}

#[test]
fn an_ssh_address_is_told_that_it_has_no_statuses() {
    let sandbox = Sandbox::new();
    let said = sandbox.ok(&init("git@github.com:example/repo-a.git", B));
    assert!(said.contains("note: git@github.com:example/repo-a.git is an ssh address"), "{said}");
    assert!(said.contains("--source https://github.com/example/repo-a allows both"), "{said}");
    let yaml = sandbox.read("sentry.yaml");
    assert!(yaml.contains("    report: off  "), "{yaml}");
}
