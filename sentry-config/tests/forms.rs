//! Files that are right: both forms, the samples, variables, overrides.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use sentry_config::{
    Config, DeployerKind, Environment, ForgeAuth, ForgeKind, GitClient, Problems, TokenRight, load,
    parse, to_long_form,
};
use sentry_core::remote::{RemoteRules, RemoteTasks};
use sentry_core::secret::SecretSource;
use sentry_core::watch::{
    AllowKinds, ForceConflicts, GitAuthSecret, GroupKind, ManifestsBranch, NamespacePolicy,
    NothingRan, OnFirstSight, Reading, Refusals, ReportDetail, ReportMode, Reporting, Timing,
    Unannotated, UnknownFields,
};

const SHORT: &str = include_str!("../../docs/config/short.yaml");
const LONG: &str = r#"
state_dir: /var/lib/sentry
log_level: info
defaults: {polling_interval: 60, max_retries: 3, timeout: 300, on_first_sight: record}
forges:
  hub:   {type: github, token: "${GITHUB_TOKEN}"}
  lab:   {type: gitlab, url: "https://gitlab.example.com", token: "${GITLAB_TOKEN}", proxy: "http://u:pr0xy-s3cret@proxy:3128", no_proxy: "a,b"}
  plain: {type: git}
watches:
  - name: qa
    source:    {forge: hub, url: "https://github.com/example/repo-a", branches: ["main", "release/*"]}
    manifests: {url: "https://gitlab.example.com/qa/repo-b", branch: ["{source_branch}", main], dir: .tekton}
    cluster:   {context: prod, namespace: qa, force_conflicts: always, deployer: kubectl, kubectl: {path: ./bin/kubectl}}
    allow_kinds: [ConfigMap, Deployment, X.a.io]
    variables: {team: qa, pass: "${GITLAB_TOKEN}", dollar: "$${x}"}
    polling_interval: 5m
    refusals: lenient
    watch_manifests: true
    namespace_policy: [qa-data, qa]
    inline: false
    allow_missing_refs: true
    unannotated: skip
    unknown_fields: refuse
    remote_tasks: locked
    remote_hosts: "tasks.example.com, http://10.0.0.5:8080"
    remote_hub: https://hub.example.com/
    report_detail: state
    git_auth_secret: git-credentials
    max_active_runs: 5
    run_timeout: 2h
    report: per_run
    when_nothing_runs: none
    report_context: "ci/{watch}"
    report_link: "https://tekton.example.com/#/{namespace}/{run}?d={delivery}&k=${GITLAB_TOKEN}"
  - name: local
    source:    {url: "file:///srv/a.git", branches: "main, dev"}
    manifests: {url: "file:///srv/b.git", branch: main}
    cluster:   {namespace: qa, deployer: dry-run}
    polling_interval: 1
"#;

fn env(extra: &[(&str, &str)]) -> Environment {
    let tokens = [("GITHUB_TOKEN", "ghp_canary1"), ("GITLAB_TOKEN", "glpat-canary2")];
    let vars = tokens.iter().chain(extra).map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    Environment::new(vars.collect::<BTreeMap<_, _>>())
}

fn read(text: &str, extra: &[(&str, &str)]) -> Result<Config, Problems> {
    parse(text, "/etc/sentry/sentry.yaml", &env(extra))
}

fn good(text: &str, extra: &[(&str, &str)]) -> Config {
    read(text, extra).unwrap_or_else(|problems| panic!("{problems}"))
}

#[test]
fn the_short_form_becomes_one_watch() {
    let config = good(SHORT, &[]);
    let [watch] = &config.watches[..] else { panic!("{:?}", config.watches) };
    assert_eq!(watch.name.as_str(), "default");
    assert_eq!(watch.source.subjects.to_string(), "main, develop");
    assert_eq!((watch.source.forge.as_str(), watch.manifests.forge.as_str()), ("github", "gitlab"));
    assert_eq!(watch.manifests.dir.as_str(), ".tekton");
    assert_eq!(watch.cluster.context.as_deref(), Some("default"));
    assert_eq!(watch.cluster.deployer, "kubectl");
    assert_eq!(watch.timing.polling_interval, Duration::from_secs(300));
    let lab = config.forge("gitlab").unwrap();
    assert_eq!(lab.url.as_ref().unwrap().as_str(), "https://gitlab.example.com/");
    assert_eq!(config.forge("github").unwrap().url, None);
    let secrets: Vec<_> = config.secrets().map(|s| s.expose()).collect();
    assert_eq!(secrets, ["ghp_canary1", "glpat-canary2"]);
    let warnings: Vec<_> = config.warnings.iter().map(|w| (w.line, w.path.as_str())).collect();
    assert_eq!(warnings, [(15, "namespace")]);
}

#[test]
fn an_unset_token_is_named_with_line_and_column() {
    let env = Environment::new([("GITLAB_TOKEN".to_owned(), "x".to_owned())].into());
    let problems = parse(SHORT, "sentry.yaml", &env).unwrap_err();
    let all: Vec<_> = problems.iter().collect();
    let [problem] = all[..] else { panic!("{problems}") };
    assert_eq!((problem.line, problem.column), (10, 17));
    assert_eq!(problem.path, "auth.github_token");
    assert_eq!(problem.message, "environment variable GITHUB_TOKEN is not set");
    assert!(problem.hint.contains(".env"));
}

#[test]
fn the_long_form_is_read_with_its_defaults() {
    let config = good(LONG, &[]);
    let [qa, local] = &config.watches[..] else { panic!("{:?}", config.watches) };
    assert_eq!(qa.manifests.forge, "lab");
    assert_eq!(qa.manifests.branches[0], ManifestsBranch::SourceBranch);
    assert_eq!(qa.timing.polling_interval, Duration::from_secs(300));
    let want =
        [("", "ConfigMap"), ("apps", "Deployment"), ("extensions", "Deployment"), ("a.io", "X")]
            .map(|(group, kind)| GroupKind::new(group, kind));
    assert_eq!(qa.allow_kinds, AllowKinds::Listed(want.into()));
    assert_eq!((qa.refusals, qa.on_first_sight), (Refusals::Lenient, OnFirstSight::Record));
    assert!(qa.watch_manifests && !local.watch_manifests);
    assert_eq!(qa.variables["dollar"], "${x}");
    assert_eq!(
        (local.source.forge.as_str(), local.cluster.deployer.as_str()),
        ("plain", "dry-run")
    );
    assert_eq!(local.timing.polling_interval, Duration::from_secs(1));
    assert_eq!(config.forges.len(), 3);
    let lab = config.forge("lab").unwrap();
    assert_eq!((lab.kind, lab.no_proxy.join(" ")), (ForgeKind::GitLab, "a b".into()));
    let names: Vec<_> = config.deployers.iter().map(|d| d.name.as_str()).collect();
    assert_eq!(names, ["kubectl:/etc/sentry/./bin/kubectl", "dry-run"]);
    assert!(matches!(config.deployers[1].kind, DeployerKind::DryRun));
}

#[test]
fn the_native_deployer_is_read_with_its_kubeconfig_and_never_chosen_by_itself() {
    let with = |cluster: &str| {
        good(&LONG.replace("deployer: kubectl, kubectl: {path: ./bin/kubectl}", cluster), &[])
    };
    for (cluster, name, kubeconfig) in [
        ("deployer: native", "native", None),
        (
            "deployer: native, native: {kubeconfig: /etc/hosts}",
            "native@/etc/hosts",
            Some("/etc/hosts"),
        ),
        // What is kubectl's is kubectl's alone.
        ("deployer: native, kubectl: {kubeconfig: /etc/hosts}", "native", None),
    ] {
        let config = with(cluster);
        assert_eq!(config.watches[0].cluster.deployer, name);
        let kubeconfig = kubeconfig.map(Into::into);
        assert_eq!(config.deployers[0].kind, DeployerKind::Native { kubeconfig });
    }
    let default = with("native: {kubeconfig: /etc/hosts}");
    assert_eq!(default.watches[0].cluster.deployer, "kubectl");
}

#[test]
fn how_documents_are_read_and_verdicts_are_shown_is_read_with_its_defaults() {
    let config = good(LONG, &[]);
    let [qa, local] = &config.watches[..] else { panic!("{:?}", config.watches) };
    let names = ["qa", "qa-data"].map(|name| name.parse().unwrap());
    assert_eq!(
        qa.reading,
        Reading {
            namespace_policy: NamespacePolicy::Listed(names.into()),
            inline: false,
            allow_missing_refs: true,
            unannotated: Unannotated::Skip,
            git_auth_secret: GitAuthSecret::Named("git-credentials".into()),
            unknown_fields: UnknownFields::Refuse,
        }
    );
    assert_eq!(
        (qa.force_conflicts, local.force_conflicts),
        (ForceConflicts::Always, ForceConflicts::First)
    );
    assert_eq!(
        (qa.timing.run_timeout, qa.timing.max_active_runs),
        (Some(Duration::from_secs(7200)), 5)
    );
    let hosts = ["https://tasks.example.com", "http://10.0.0.5:8080"].map(str::to_owned);
    let hub = Some("https://hub.example.com/".parse().unwrap());
    let remote = RemoteRules { tasks: RemoteTasks::Locked, hub, hosts: hosts.into() };
    assert_eq!((&qa.remote, &local.remote), (&remote, &RemoteRules::default()));
    assert_eq!(qa.reporting.detail, Some(ReportDetail::State));
    assert_eq!(qa.reporting.mode, ReportMode::PerRun);
    assert_eq!(qa.reporting.when_nothing_runs, NothingRan::Nothing);
    assert_eq!(qa.reporting.context.as_deref(), Some("ci/qa"));
    let link = qa.reporting.link.as_deref().unwrap();
    assert!(
        link.starts_with("https://tekton.example.com/#/{namespace}/{run}?d={delivery}&k="),
        "{link}"
    );
    assert_eq!((&local.reading, &local.reporting), (&Reading::default(), &Reporting::default()));
    let Timing { run_timeout, max_active_runs, .. } = local.timing;
    assert_eq!((run_timeout, max_active_runs), (None, 20));
}

#[test]
fn a_watch_says_otherwise_than_defaults_key_by_key() {
    let defaults = "defaults: {namespace_policy: override, inline: false, report: off, run_timeout: 1h, \
                    polling_interval: 60,";
    let text = LONG.replace("defaults: {polling_interval: 60,", defaults).replace(
        "    polling_interval: 1\n",
        "    polling_interval: 1\n    inline: true\n    report: per_watch\n",
    );
    let config = good(&text, &[("SENTRY__DEFAULTS__UNANNOTATED", "skip")]);
    let local = &config.watches[1];
    assert_eq!(local.reading.namespace_policy, NamespacePolicy::Override);
    assert!(local.reading.inline && local.reading.unannotated == Unannotated::Skip);
    assert_eq!(local.reporting.mode, ReportMode::PerWatch);
    assert_eq!(local.timing.run_timeout, Some(Duration::from_secs(3600)));
}

#[test]
fn the_short_form_takes_what_one_watch_needs_for_its_runs() {
    let more = "run_timeout: 2h\ngit_auth_secret: git-credentials\nreport: off\n";
    let config = good(&format!("{SHORT}{more}"), &[("SENTRY__REPORT", "per_run")]);
    let watch = &config.watches[0];
    assert_eq!(watch.timing.run_timeout, Some(Duration::from_secs(7200)));
    assert_eq!(watch.reading.git_auth_secret, GitAuthSecret::Named("git-credentials".into()));
    assert_eq!(watch.reporting.mode, ReportMode::PerRun);
}

#[test]
fn a_forge_is_fetched_from_within_unless_its_file_says_otherwise() {
    for (written, expected) in [
        ("", GitClient::Within),
        (", git: within", GitClient::Within),
        (", git: program", GitClient::Program),
    ] {
        let text = LONG.replace("plain: {type: git}", &format!("plain: {{type: git{written}}}"));
        let config = good(&text, &[]);
        let forge = |config: &Config| {
            config.forges.iter().find(|forge| forge.name == "plain").map(|forge| forge.git)
        };
        assert_eq!(forge(&config), Some(expected), "{written}");
        let printed = to_long_form(&config);
        assert_eq!(
            forge(&good(&printed.replace("[secret]", "http://proxy"), &[])),
            Some(expected),
            "{printed}"
        );
    }
    let error = read(&LONG.replace("{type: git}", "{type: git, git: gix}"), &[]).unwrap_err();
    assert!(error.to_string().contains("within"), "{error}");
}

#[test]
fn tags_are_names_or_a_range_and_are_printed_so() {
    let both = r#"branches: ["main", "release/*"]"#;
    for (written, selection) in [
        ("tags: 'v*'", "tags v*"),
        ("tags: 'v*,!v0.*'", "tags v*, tags !v0.*"),
        ("tags: [v1, 'nightly-*']", "tags v1, tags nightly-*"),
        ("tags: {semver: '>=1.2, <2'}", "tags {semver: >=1.2, <2}"),
        ("branches: main, tags: {semver: '*'}", "main, tags {semver: *}"),
    ] {
        let config = good(&LONG.replace(both, written), &[]);
        assert_eq!(config.watches[0].source.subjects.to_string(), selection);
        let printed = to_long_form(&config);
        assert_eq!(
            good(&printed.replace("[secret]", "http://proxy"), &[]).watches,
            config.watches,
            "{printed}"
        );
    }
}

#[test]
fn pull_requests_of_forks_wait_for_an_approval_unless_it_is_said_otherwise_and_are_printed_so() {
    use sentry_core::pull::Forks;
    let both = r#"branches: ["main", "release/*"]"#;
    for (written, forks) in [
        ("true", Forks::Approve),
        ("{drafts: skip}", Forks::Approve),
        ("{forks: approve}", Forks::Approve),
        ("{forks: run}", Forks::Run),
        ("{forks: never}", Forks::Never),
    ] {
        let text = LONG.replace(both, &format!("{both}, pull_requests: {written}"));
        let text = text.replace(r#"["{source_branch}", main]"#, "main");
        let config = good(&text, &[]);
        let pulls = |config: &Config| config.watches[0].source.subjects.pulls.clone().unwrap();
        assert_eq!(pulls(&config).forks, forks, "{written}");
        let printed = to_long_form(&config);
        let again = good(&printed.replace("[secret]", "http://proxy"), &[]);
        assert_eq!(pulls(&again), pulls(&config), "{printed}");
    }
}

#[test]
fn a_watch_may_let_sentry_make_the_secret_and_is_printed_so() {
    let config = good(&format!("{SHORT}git_auth_secret: {{per_run: true}}\n"), &[]);
    assert_eq!(config.watches[0].reading.git_auth_secret, GitAuthSecret::PerRun);
    let printed = to_long_form(&config);
    assert_eq!(good(&printed, &[]).watches, config.watches, "{printed}");
}

#[test]
fn parts_of_a_watch_may_stand_in_defaults() {
    let text = "
forges: {g: {type: git}}
defaults:
  source: {url: 'https://git.example.com/a', branches: main}
  manifests: {url: 'https://git.example.com/b', branch: main, dir: ci/tekton}
  cluster: {namespace: qa, deployer: dry-run}
  allow_kinds: tekton
  variables: {a: x, b: x}
  on_first_sight: deliver
watches:
  - {name: one}
  - {name: two, source: {branches: dev}, cluster: {namespace: other}, variables: {b: y}}
";
    let config = good(text, &[]);
    let [one, two] = &config.watches[..] else { panic!("{:?}", config.watches) };
    assert_eq!(one.manifests, two.manifests);
    assert_eq!(two.source.subjects.to_string(), "dev");
    assert_eq!(two.source.repo, one.source.repo);
    assert_eq!(two.cluster.to_string(), "namespace other");
    assert_eq!((two.variables["a"].as_str(), two.variables["b"].as_str()), ("x", "y"));
    assert_eq!(two.on_first_sight, OnFirstSight::Deliver);
    assert!(
        matches!(&one.allow_kinds, AllowKinds::Listed(kinds) if kinds.contains(&GroupKind::new("tekton.dev", "StepAction")))
    );
}

#[test]
fn default_means_the_in_cluster_account_only_in_a_pod_without_a_kubeconfig() {
    let context = |extra: &[(&str, &str)]| good(SHORT, extra).watches[0].cluster.context.clone();
    let pod = ("KUBERNETES_SERVICE_HOST", "10.0.0.1");
    assert_eq!(context(&[pod]), None);
    assert_eq!(context(&[pod, ("KUBECONFIG", "/k")]).as_deref(), Some("default"));
    assert_eq!(context(&[]).as_deref(), Some("default"));
    let other = SHORT.replace("kubectl_context: \"default\"", "kubectl_context: prod");
    let config = good(&other, &[pod]);
    assert_eq!(config.watches[0].cluster.context.as_deref(), Some("prod"));
    assert!(config.warnings.iter().any(|w| w.path == "kubectl_context"));
}

#[test]
fn a_target_in_the_namespace_of_sentrys_own_pod_is_warned_of() {
    let warned = |own: &str, extra: &[(&str, &str)]| {
        let vars = [("GITHUB_TOKEN", "ghp-canary1"), ("GITLAB_TOKEN", "glpat-canary2")];
        let vars = vars.iter().chain(extra).map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        let mut env = Environment::new(vars.collect());
        env.own_namespace = Some(own.to_owned());
        let config = parse(LONG, "sentry.yaml", &env).unwrap();
        let own = config.warnings.iter().filter(|w| w.message.contains("Sentry's own namespace"));
        own.map(|w| w.path.clone()).collect::<Vec<_>>()
    };
    let [listed, one, two] = [
        "watches[0].namespace_policy[1]",
        "watches[0].cluster.namespace",
        "watches[1].cluster.namespace",
    ];
    assert_eq!(warned("qa", &[]), [listed, one, two]);
    assert_eq!(warned("qa-data", &[]), ["watches[0].namespace_policy[0]"]);
    assert_eq!(warned("sentry", &[]), [""; 0]);
    assert_eq!(warned("qa", &[("KUBECONFIG", "/k")]), [""; 0], "that may be another cluster");
}

#[test]
fn both_repositories_of_the_short_form_may_be_on_the_same_or_on_any_forge() {
    let same = SHORT
        .replace("gitlab.example.com", "github.com")
        .replace("type: \"gitlab\"", "type: github");
    assert_eq!(good(&same, &[]).forges.len(), 1);
    let two = SHORT.replace("type: \"gitlab\"", "type: github");
    let config = good(&two, &[]);
    assert_eq!(config.watches[0].manifests.forge, "github-qa");
    let tea =
        SHORT.replace("type: \"gitlab\"", "type: gitea").replace("gitlab_token", "gitea_token");
    let config = good(&tea, &[]);
    let tea = config.forge("gitea").unwrap();
    assert_eq!(tea.url.as_ref().unwrap().as_str(), "https://gitlab.example.com/");
    assert!(matches!(tea.auth, ForgeAuth::Token(_)));
    let git = SHORT.replace("type: \"gitlab\"", "type: git").replace("gitlab_token", "git_token");
    let config = good(&git, &[]);
    assert!(
        matches!(&config.forge("git").unwrap().auth, ForgeAuth::Token(SecretSource::Value(t)) if t.expose() == "glpat-canary2")
    );
}

#[test]
fn what_is_printed_as_the_long_form_loads_again_as_the_same() {
    for text in [SHORT, LONG] {
        let config = good(text, &[]);
        let printed = to_long_form(&config);
        assert!(printed.contains("token: \"${GITHUB_TOKEN}\""), "{printed}");
        for secret in ["canary", "pr0xy"] {
            assert!(!printed.contains(secret), "{printed}");
        }
        let printed = printed.replace("proxy: \"[secret]\"", "proxy: \"http://proxy/\"");
        let again = good(&printed, &[]);
        assert_eq!(again.watches, config.watches, "{printed}");
        assert_eq!(to_long_form(&again), printed);
    }
}

#[test]
fn a_literal_token_is_warned_of_and_never_printed() {
    let text = SHORT.replace("${GITHUB_TOKEN}", "l1teral-canary");
    let config = good(&text, &[]);
    let warning = config.warnings.iter().find(|w| w.path == "auth.github_token").unwrap();
    assert!(!warning.to_string().contains("l1teral"), "{warning}");
    assert!(to_long_form(&config).contains("token: \"[secret]\""));
    assert!(!format!("{config:?}").contains("l1teral"));
}

#[test]
fn overrides_come_from_double_underscores_only() {
    let config = good(
        LONG,
        &[
            ("SENTRY__DEFAULTS__TIMEOUT", "60"),
            ("SENTRY__WATCHES__0__SOURCE__BRANCHES", "a,b"),
            ("SENTRY__WATCHES__1__CLUSTER__NAMESPACE", "123"),
            ("SENTRY__FORGES__LAB__TOKEN", "has-${NOTHING}-to-fill"),
            ("SENTRY__WATCHES__0__NAMESPACE_POLICY", "override"),
            ("SENTRY__WATCHES__0__INLINE", "true"),
            ("SENTRY__WATCHES__0__MAX_ACTIVE_RUNS", "9"),
            ("SENTRY__WATCHES__0__REPORT_CONTEXT", "x/{watch}"),
            ("SENTRY_DSN", "https://x"),
            ("SENTRY_LOG", "x"),
        ],
    );
    assert_eq!(config.watches[0].source.subjects.to_string(), "a, b");
    assert_eq!(config.watches[0].timing.timeout, Duration::from_secs(60));
    assert_eq!(config.watches[1].cluster.namespace.as_str(), "123");
    assert!(config.secrets().any(|s| s.expose() == "has-${NOTHING}-to-fill"));
    let qa = &config.watches[0];
    assert_eq!(qa.reading.namespace_policy, NamespacePolicy::Override);
    assert_eq!((qa.reading.inline, qa.timing.max_active_runs), (true, 9));
    assert_eq!(qa.reporting.context.as_deref(), Some("x/qa"));
    let short = good(SHORT, &[("SENTRY__POLLING_INTERVAL", "120"), ("SENTRY__MAX_RETRIES", "7")]);
    assert_eq!(short.watches[0].timing.polling_interval, Duration::from_secs(120));
    assert_eq!(short.watches[0].timing.max_retries, 7);
}

#[test]
fn an_override_that_fits_nothing_is_named() {
    let problems = read(
        LONG,
        &[
            ("SENTRY__DEFAULTS__TIMEOUTS", "60"),
            ("SENTRY__WATCHES__9__NAME", "x"),
            ("SENTRY__LOG_LEVEL__X", "x"),
            ("SENTRY__DEFAULTS__MAX_RETRIES", "many"),
            ("SENTRY____X", "x"),
        ],
    )
    .unwrap_err();
    let texts: Vec<_> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(texts.len(), 5, "{texts:#?}");
    for name in [
        "SENTRY__DEFAULTS__TIMEOUTS",
        "SENTRY__WATCHES__9__NAME",
        "SENTRY__LOG_LEVEL__X",
        "SENTRY__DEFAULTS__MAX_RETRIES",
        "SENTRY____X",
    ] {
        assert!(
            texts.iter().any(|t| t.starts_with(&format!("environment: {name} "))),
            "{name}: {texts:#?}"
        );
    }
    assert!(texts.iter().any(|t| t.contains("did you mean `timeout`?")), "{texts:#?}");
}

#[test]
fn dotenv_beside_the_file_fills_what_the_environment_leaves_open() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("sentry.yaml");
    std::fs::write(&file, SHORT).unwrap();
    std::fs::write(
        dir.path().join(".env"),
        "GITHUB_TOKEN=from-dotenv\nexport GITLAB_TOKEN='lab'\n",
    )
    .unwrap();
    let env = Environment::new([("GITHUB_TOKEN".to_owned(), "from-env".to_owned())].into());
    let config = load(&file, &env).unwrap();
    assert_eq!(config.secrets().map(|s| s.expose()).collect::<Vec<_>>(), ["from-env", "lab"]);
    std::fs::write(dir.path().join(".env"), "GITLAB_TOKEN='lab-canary\n").unwrap();
    let error = load(&file, &env).unwrap_err().to_string();
    assert!(error.contains(".env:1:1: is not NAME=value"), "{error}");
    assert!(error.contains("GITLAB_TOKEN is not set") && !error.contains("canary"), "{error}");
}

#[test]
fn files_are_looked_for_from_the_configurations_directory() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("token"), "x").unwrap();
    let text = LONG.replace("token: \"${GITHUB_TOKEN}\"", "token_file: token");
    let file = dir.path().join("sentry.yaml");
    std::fs::write(&file, &text).unwrap();
    let config = load(&file, &env(&[])).unwrap();
    let auth = &config.forge("hub").unwrap().auth;
    assert!(
        matches!(auth, ForgeAuth::Token(SecretSource::File(path)) if *path == dir.path().join("token"))
    );
}

#[test]
fn a_token_for_statuses_is_kept_apart_printed_as_written_and_known_as_a_secret() {
    let text = LONG.replace(
        "token: \"${GITHUB_TOKEN}\"",
        "token: \"${GITHUB_TOKEN}\", report_token: \"${REPORT}\"",
    );
    let config = good(&text, &[("REPORT", "ghp_report-canary")]);
    let hub = config.forge("hub").unwrap();
    let is = |t: &SecretSource, is: &str| matches!(t, SecretSource::Value(t) if t.expose() == is);
    assert!(matches!(&hub.auth, ForgeAuth::Token(token) if is(token, "ghp_canary1")));
    assert!(is(hub.report_token.as_ref().unwrap(), "ghp_report-canary"));
    assert!(config.forge("lab").unwrap().report_token.is_none());
    assert!(config.secrets().any(|secret| secret.expose() == "ghp_report-canary"));
    let printed = to_long_form(&config);
    assert!(printed.contains("report_token: \"${REPORT}\""), "{printed}");
    assert!(!printed.contains("canary"), "{printed}");

    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("reporter"), "x").unwrap();
    let text = LONG.replace("token: \"${GITHUB_TOKEN}\"", "report_token_file: reporter");
    let file = dir.path().join("sentry.yaml");
    std::fs::write(&file, &text).unwrap();
    let config = load(&file, &env(&[])).unwrap();
    let auth = config.forge("hub").unwrap().report_token.as_ref();
    assert!(matches!(auth, Some(SecretSource::File(path)) if *path == dir.path().join("reporter")));
    assert!(to_long_form(&config).contains("report_token_file: "));
}

#[test]
fn what_is_served_is_read_with_its_secrets_known_and_printed_as_written() {
    let server = "server:\n  listen: 127.0.0.1:8080\n  read_token: \"${READ}\"\n  trigger_token_file: trigger\n";
    let text = format!("{server}{LONG}").replace(
        "token: \"${GITHUB_TOKEN}\"",
        "token: \"${GITHUB_TOKEN}\", webhook_secret: \"${HOOK}\"",
    );
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("trigger"), "x").unwrap();
    let file = dir.path().join("sentry.yaml");
    std::fs::write(&file, &text).unwrap();
    let vars = [("READ", "read-canary-read-canary"), ("HOOK", "hook-canary")];
    let config = load(&file, &env(&vars)).unwrap();
    assert_eq!(config.server.listen, "127.0.0.1:8080".parse().ok());
    let [read, trigger] = &config.server.tokens[..] else { panic!("two tokens") };
    assert_eq!((read.name.as_str(), read.right), ("read_token", TokenRight::Read));
    assert_eq!((trigger.name.as_str(), trigger.right), ("trigger_token", TokenRight::Trigger));
    assert!(
        matches!(&trigger.source, SecretSource::File(path) if *path == dir.path().join("trigger"))
    );
    let hub = config.forge("hub").unwrap().webhook_secret.as_ref();
    assert!(matches!(hub, Some(SecretSource::Value(secret)) if secret.expose() == "hook-canary"));
    for canary in ["read-canary-read-canary", "hook-canary"] {
        assert!(config.secrets().any(|secret| secret.expose() == canary), "{canary}");
    }
    assert!(config.warnings.iter().any(|w| w.to_string().contains("openssl rand")), "it is short");
    let printed = to_long_form(&config);
    for line in [
        "listen: \"127.0.0.1:8080\"",
        "read_token: \"${READ}\"",
        "trigger_token_file: ",
        "webhook_secret: \"${HOOK}\"",
    ] {
        assert!(printed.contains(line), "{line}: {printed}");
    }
    assert!(!printed.contains("canary"), "{printed}");
}

/// One watch of a plain git server.
const PLAIN: &str = "
forges: {plain: {type: git}}
watches:
  - name: qa
    source: {url: 'https://git.example.com/a.git', branches: main}
    manifests: {url: 'https://git.example.com/b.git', branch: main}
    cluster: {context: prod, namespace: qa}
";

#[test]
fn tokens_have_names_and_rights_and_are_printed_so_that_they_are_read_again() {
    let server = "server:\n  listen: 127.0.0.1:8080\n  trigger_token: \"${OLD}\"\n  tokens:\n    \
                  - {name: wall, token: \"${WALL}\", may: [read]}\n    \
                  - {name: bot, token_file: bot, may: [read, trigger]}\n    \
                  - {name: ada, token: \"${ADA}\", may: [approve]}\n";
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("bot"), "bot-canary-of-some-length").unwrap();
    let vars = [
        ("OLD", "old-canary-of-some-length"),
        ("WALL", "wall-canary-of-some-length"),
        ("ADA", "ada-canary-of-some-length"),
    ];
    let load_text = |text: &str| {
        let file = dir.path().join("sentry.yaml");
        std::fs::write(&file, text).unwrap();
        load(&file, &env(&vars)).unwrap()
    };
    let config = load_text(&format!("{server}{PLAIN}"));
    let printed = to_long_form(&config);
    assert!(!printed.contains("canary"), "{printed}");
    for config in [config, load_text(&printed)] {
        let tokens = &config.server.tokens;
        let said: Vec<_> = tokens.iter().map(|t| (t.name.as_str(), t.right)).collect();
        let (read, trigger) = (TokenRight::Read, TokenRight::Trigger);
        let ada = ("ada", TokenRight::Approve);
        assert_eq!(said, [("trigger_token", trigger), ("wall", read), ("bot", trigger), ada]);
        assert!(matches!(&tokens[2].source, SecretSource::File(path) if path.ends_with("bot")));
        assert!(config.secrets().any(|secret| secret.expose().starts_with("wall-canary")));
        assert!(config.secret_files().any(|path| path.ends_with("bot")));
    }
}

#[test]
fn links_lead_to_the_page_where_its_address_is_known_and_no_other_is_written() {
    let of = |server: &str, rules: &str| {
        let text = format!("{server}\n{PLAIN}{rules}");
        good(&text, &[]).watches[0].reporting.clone()
    };
    let own = "https://sentry.example.com/deliveries/{delivery}";
    for (public_url, link) in [
        ("https://sentry.example.com", own),
        ("https://sentry.example.com/", own),
        ("http://10.0.0.1:8080/ci//", "http://10.0.0.1:8080/ci/deliveries/{delivery}"),
    ] {
        let server = format!("server: {{public_url: '{public_url}'}}");
        assert_eq!(of(&server, "").link.as_deref(), Some(link), "{public_url}");
        let written = "    report_link: https://t.example.com/{run}\n";
        assert_eq!(of(&server, written).link.as_deref(), Some("https://t.example.com/{run}"));
    }
    assert_eq!(of("", "").link, None);
    let run = "https://t.example.com/#/namespaces/{namespace}/{kind}/{run}";
    for (written, dashboard) in [
        ("https://t.example.com", run),
        ("https://t.example.com/", run),
        ("https://t.example.com/{namespace}/r?{run}", "https://t.example.com/{namespace}/r?{run}"),
    ] {
        let rules = format!("    dashboard_url: '{written}'\n");
        assert_eq!(of("", &rules).dashboard.as_deref(), Some(dashboard), "{written}");
    }
}

#[test]
fn the_samples_of_the_repository_load() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let config = load(&root.join("sentry.yaml"), &env(&[])).unwrap();
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    let example = std::fs::read_to_string(root.join(".env.example")).unwrap();
    for name in ["GITHUB_TOKEN", "GITLAB_TOKEN"] {
        assert!(example.lines().any(|line| line.starts_with(&format!("{name}="))), "{name}");
    }
}

const NOTIFY: &str = r#"
notify:
  - name: qa-chat
    type: slack
    url: "${SLACK_URL}"
    routes: [tests_failed]
    on: [all]
  - name: on-call
    type: webhook
    url: https://pager.example.com/events
    secret: "${HOOK_SECRET}"
    routes: [could_not_start]
    template: "{{ watch }} is stuck: {{ reason }}"
forges: {g: {type: git}}
defaults:
  source: {url: 'https://git.example.com/a', branches: main}
  manifests: {url: 'https://git.example.com/b', branch: main}
  cluster: {namespace: qa, deployer: dry-run}
watches:
  - {name: all}
  - {name: none, notify: []}
  - {name: some, notify: [on-call, {name: own, type: mattermost, url: "${SLACK_URL}"}]}
"#;

const NOTIFY_VARS: &[(&str, &str)] = &[
    ("SLACK_URL", "https://hooks.slack.com/services/T0/B0/canary-slack"),
    ("HOOK_SECRET", "canary-signing-secret"),
];

#[test]
fn every_watch_hears_of_the_files_receivers_unless_it_names_its_own() {
    use sentry_core::subscription::{On, Route};
    let config = good(NOTIFY, NOTIFY_VARS);
    let heard = |n: usize| -> Vec<&str> {
        config.watches[n].notify.iter().map(|s| s.receiver.as_str()).collect()
    };
    assert_eq!(heard(0), ["qa-chat", "on-call"]);
    assert_eq!(heard(1), Vec::<&str>::new());
    assert_eq!(heard(2), ["on-call", "own"]);
    let chat = &config.watches[0].notify[0];
    assert_eq!((&chat.routes[..], &chat.on[..]), (&[Route::TestsFailed][..], &[On::All][..]));
    let own = &config.watches[2].notify[1];
    assert_eq!((&own.routes[..], &own.on[..]), (Route::ALL, &[On::Failure, On::Recovery][..]));
    let secrets: Vec<&str> = config.secrets().map(|secret| secret.expose()).collect();
    assert!(secrets.contains(&NOTIFY_VARS[0].1) && secrets.contains(&NOTIFY_VARS[1].1));
}

#[test]
fn receivers_are_printed_without_their_secrets_and_load_again_as_the_same() {
    let config = good(NOTIFY, NOTIFY_VARS);
    let printed = to_long_form(&config);
    assert!(!printed.contains("canary"), "{printed}");
    assert!(printed.contains("url: \"${SLACK_URL}\""), "{printed}");
    let printed = printed.replace("\"[secret]\"", "\"https://pager.example.com/events\"");
    let again = good(&printed, NOTIFY_VARS);
    assert_eq!(again.watches, config.watches, "{printed}");
    assert_eq!(again.receivers.len(), config.receivers.len());
    assert_eq!(again.receivers[1].template, config.receivers[1].template);
}

/// An operator's file is not hostile: what a generator writes for all its repositories is read, also where watches share
/// what they have in common by an anchor. The benchmark `load` has twenty thousand.
#[test]
fn a_generated_file_is_read_whether_its_watches_are_written_out_or_made_of_anchors() {
    let variables: String = (0..40).map(|n| format!("v{n}: x, ")).collect();
    let head = "forges: {plain: {type: git}}\ndefaults: {cluster: {namespace: qa}}\nwatches:\n";
    let first = "  - name: w-0\n    source: &a {url: 'https://git.example/a.git', branches: [main, 'release/*']}\n    \
                 manifests: &b {url: 'https://git.example/b.git', branch: main, dir: .tekton}\n";
    let others = (1..1_000).map(|n| match n % 2 {
        0 => format!("  - {{name: w-{n}, source: *a, manifests: *b}}\n"),
        _ => format!(
            "  - name: w-{n}\n    source: {{url: 'https://git.example/a-{n}.git', branches: [main]}}\n    \
             manifests: *b\n    variables: {{{variables} n: '{n}'}}\n"
        ),
    });
    let config = good(&format!("{head}{first}{}", others.collect::<String>()), &[]);
    assert_eq!(config.watches.len(), 1_000);
    assert_eq!(config.watches[998].source, config.watches[0].source);
    assert_eq!(config.watches[999].variables["n"], "999");
}
