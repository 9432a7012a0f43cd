//! The road over the forges' APIs: GitHub's and GitLab's through an authenticating proxy with a private CA, Gitea's.

use sentry_apiserver::ApiServer;
use sentry_tests::forges::{ForgeOptions, gitea::Gitea, github::GitHub, gitlab::GitLab};
use sentry_tests::proxy::HttpProxy;
use sentry_tests::repo::BareRepo;
use sentry_tests::sandbox::{Sandbox, eventually};
use sentry_tests::tls::Tls;
use sentry_tests::wire::{Wired, borrowed};
use tempfile::TempDir;

use sentry_tests::road::TREE;

const HUB: &str = "github-token-51af0c";
const LAB: &str = "gitlab-token-77b2de";
const KUBE: &str = "cluster-token-0d93b1";

fn options(tls: &Tls) -> ForgeOptions {
    ForgeOptions { tls: Some(tls.server()), enterprise: true, ..ForgeOptions::default() }
}

#[test]
fn a_push_on_github_delivers_from_gitlab_through_the_proxy_and_with_the_private_ca() {
    let repos = TempDir::new().unwrap();
    let a = BareRepo::create(repos.path(), "product/app.git");
    let b = BareRepo::create(repos.path(), "qa/team/tests.git");
    a.commit("main", &[("README.md", "A")], "first");
    b.commit("main", TREE, "tests");
    let tls = Tls::new();
    let (hub, lab) =
        (GitHub::start(repos.path(), options(&tls)), GitLab::start(repos.path(), options(&tls)));
    hub.tokens().grant(HUB);
    lab.tokens().grant(LAB);
    let proxy = HttpProxy::start(Some(("agent", "pr0xy-passw0rd")));
    let cluster = ApiServer::start();
    cluster.add_namespace("qa");
    cluster.end_new_runs();
    let mut sandbox = Sandbox::new();
    sandbox.env("HUB", HUB).env("LAB", LAB).env("PROXY", proxy.url_with_credentials());
    // kubectl goes its own way here: what reaches it is HTTPS_PROXY, and its server is plain HTTP on loopback.
    let (kubeconfig, ca) = (cluster.kubeconfig(sandbox.root()), tls.ca_pem().display().to_string());
    let forge = |name: &str, kind: &str, origin: String, token: &str| {
        format!(
            "  {name}: {{type: {kind}, url: '{origin}', token: '${{{token}}}', proxy: '${{PROXY}}', ca_file: '{ca}'}}\n"
        )
    };
    let config = format!(
        "forges:\n{}{}watches:\n  - name: qa\n    polling_interval: 1\n    source: {{forge: hub, url: '{}', branches: main}}\n    \
         manifests: {{forge: lab, url: '{}', branch: main}}\n    \
         cluster: {{context: default, namespace: qa, kubectl: {{kubeconfig: '{}'}}}}\n",
        forge("hub", "github", hub.http().origin(), "HUB"),
        forge("lab", "gitlab", lab.http().origin(), "LAB"),
        hub.clone_url("product/app").trim_end_matches(".git"),
        lab.clone_url("qa/team/tests").trim_end_matches(".git"),
        kubeconfig.display()
    );
    sandbox.write_config(&config);
    let first = sandbox.sentry(["watch", "--once"]);
    assert_eq!(first.code, Some(0), "{first:?}");
    a.commit("main", &[("README.md", "B")], "work");
    let second = sandbox.sentry(["watch", "--once"]);
    assert_eq!(second.code, Some(0), "{second:?}");
    assert_eq!(cluster.objects_of("PipelineRun").len(), 2, "{second:?}");
    assert!(proxy.log().requests() >= 2, "nothing went through the proxy");
    let told = first.stderr + &second.stderr + &second.stdout;
    for secret in [HUB, LAB, "pr0xy-passw0rd"] {
        assert!(!told.contains(secret), "{secret} is told");
    }
    proxy.pause();
    let cut = sandbox.sentry(["watch", "--once"]);
    assert_eq!(cut.code, Some(3), "the forges are reached by the proxy only: {cut:?}");
}

/// Names that nobody resolves but the proxy: what arrives has gone through it.
const NAMES: [&str; 3] = ["hub.test", "lab.test", "cluster.test"];

#[test]
fn api_git_and_kubectl_go_through_the_proxy_of_the_environment_to_names_that_it_alone_knows() {
    let repos = TempDir::new().unwrap();
    let a = BareRepo::create(repos.path(), "product/app.git");
    let b = BareRepo::create(repos.path(), "qa/tests.git");
    a.commit("main", &[("README.md", "A")], "first");
    b.commit("main", TREE, "tests");
    let tls = Tls::with_names(&NAMES);
    let (hub, lab) =
        (GitHub::start(repos.path(), options(&tls)), GitLab::start(repos.path(), options(&tls)));
    hub.tokens().grant(HUB);
    lab.tokens().grant(LAB);
    let cluster = ApiServer::start_tls(tls.server());
    cluster.end_new_runs();
    let proxy = HttpProxy::start(Some(("agent", "pr0xy-passw0rd")));
    proxy.lead("hub.test:443", hub.http().port());
    proxy.lead("lab.test:443", lab.http().port());
    proxy.lead("cluster.test:6443", cluster.port());
    let mut sandbox = Sandbox::new();
    sandbox.env("HUB", HUB).env("LAB", LAB).env("HTTPS_PROXY", proxy.url_with_credentials());
    let ca = tls.ca_pem();
    let kubeconfig = cluster.kubeconfig_for(sandbox.root(), "https://cluster.test:6443", ca, KUBE);
    let forge = |name: &str, kind: &str, token: &str| {
        let ca = ca.display();
        format!(
            "  {name}: {{type: {kind}, url: 'https://{name}.test', token: '${{{token}}}', ca_file: '{ca}'}}\n"
        )
    };
    sandbox.write_config(&format!(
        "forges:\n{}{}watches:\n  - name: qa\n    source: {{forge: hub, url: 'https://hub.test/product/app', branches: main}}\n    \
         manifests: {{forge: lab, url: 'https://lab.test/qa/tests', branch: main}}\n    \
         cluster: {{context: default, namespace: qa, kubectl: {{kubeconfig: '{}'}}}}\n",
        forge("hub", "github", "HUB"),
        forge("lab", "gitlab", "LAB"),
        kubeconfig.display()
    ));
    let mut told = String::new();
    let mut once = |sandbox: &Sandbox| {
        let output = sandbox.sentry(["watch", "--once", "--log-level", "debug"]);
        told += &format!("{}{}", output.stdout, output.stderr);
        output
    };
    assert_eq!(once(&sandbox).code, Some(0));
    a.commit("main", &[("README.md", "B")], "work");
    let delivered = once(&sandbox);
    assert_eq!(delivered.code, Some(0), "{delivered:?}");
    assert_eq!(cluster.objects_of("PipelineRun").len(), 2);
    for name in NAMES {
        let through = proxy.log().matching(&format!("CONNECT {name}:"));
        assert!(through.iter().any(|request| request.status == Some(200)), "{name}: {through:?}");
    }
    assert!(lab.http().log().saw(LAB), "git used its token");

    // With another password nothing gets through.
    sandbox.env("HTTPS_PROXY", proxy.url_with_credentials().replace("pr0xy", "wr0ng"));
    a.commit("main", &[("README.md", "C")], "more work");
    let refused = once(&sandbox);
    assert_eq!(refused.code, Some(3), "{refused:?}");
    assert_eq!(cluster.objects_of("PipelineRun").len(), 2);
    for secret in [HUB, LAB, KUBE, "pr0xy-passw0rd", "wr0ng-passw0rd"] {
        assert!(!told.contains(secret), "{secret} is told: {told}");
    }
}

const TEA: &str = "gitea-token-9e1f40";
const TEA_SECRET: &str = "gitea-webhook-secret-5d27aa81c3";

/// A Gitea with A and B, a cluster, and a configuration that polls once an hour.
struct TeaHouse {
    tea: Gitea,
    a: BareRepo,
    cluster: ApiServer,
    sandbox: Sandbox,
    _repos: TempDir,
}

impl TeaHouse {
    fn start() -> Self {
        let repos = TempDir::new().unwrap();
        let a = BareRepo::create(repos.path(), "product/app.git");
        a.commit("main", &[("README.md", "A")], "first");
        BareRepo::create(repos.path(), "qa/tests.git").commit("main", TREE, "tests");
        let tea = Gitea::start(repos.path(), ForgeOptions::default());
        tea.tokens().grant(TEA);
        let cluster = ApiServer::start();
        cluster.add_namespace("qa");
        cluster.end_new_runs();
        let mut sandbox = Sandbox::new();
        sandbox.env("TEA", TEA).env("TEA_SECRET", TEA_SECRET);
        sandbox.write_config(&format!(
            "forges:\n  tea: {{type: gitea, url: '{}', token: '${{TEA}}', webhook_secret: '${{TEA_SECRET}}'}}\nwatches:\n  \
             - name: qa\n    polling_interval: 3600\n    source: {{url: '{}', branches: main}}\n    \
             manifests: {{url: '{}', branch: main}}\n    \
             cluster: {{context: default, namespace: qa, kubectl: {{kubeconfig: '{}'}}}}\n",
            tea.http().origin(),
            tea.clone_url("product/app").trim_end_matches(".git"),
            tea.clone_url("qa/tests").trim_end_matches(".git"),
            cluster.kubeconfig(sandbox.root()).display()
        ));
        Self { tea, a, cluster, sandbox, _repos: repos }
    }
}

#[test]
fn a_push_that_gitea_tells_is_delivered_and_its_verdict_stands_on_the_commit() {
    let house = TeaHouse::start();
    let first = house.sandbox.sentry(["watch", "--once"]);
    assert_eq!(first.code, Some(0), "{first:?}");
    let served = Wired::start(&house.sandbox, &[]);
    let sha = house.a.commit("main", &[("README.md", "B")], "work");
    let push = r#"{"ref":"refs/heads/main","repository":{"id":1000,"full_name":"product/app"}}"#;
    let hook = |secret: &str| {
        let headers = Gitea::hook(secret, "push", push.as_bytes());
        served.post("/webhooks/gitea", &borrowed(&headers), push.as_bytes()).0
    };
    let asked = || house.tea.http().log().requests();
    eventually("the agent has looked once", || served.counted("sentry_polls_total", "") > 0);
    let before = asked();
    assert_eq!(hook("another-secret-5d27aa81c3"), 401);
    assert_eq!((asked(), house.tea.statuses().len()), (before, 0), "it starts nothing");
    assert_eq!(hook(TEA_SECRET), 202);
    let state = |status: &sentry_tests::forges::PostedStatus| {
        assert_eq!((status.repo.as_str(), &status.sha), ("product/app", &sha));
        status.body["state"].as_str().unwrap().to_owned()
    };
    eventually("the verdict stands on the commit", || {
        house.tea.statuses().last().map(state).as_deref() == Some("success")
    });
    assert_eq!(house.cluster.objects_of("PipelineRun").len(), 2);
}

#[test]
fn validate_online_tells_what_a_token_of_gitea_may_do_and_who_refuses_it() {
    let mut house = TeaHouse::start();
    let told = house.sandbox.sentry(["validate", "--online"]);
    assert_eq!(told.code, Some(0), "{told:?}");
    let text = told.stdout + &told.stderr;
    assert!(text.contains("push, pull") && text.contains("write:repository is unknown"), "{text}");

    house.sandbox.env("TEA", "another-token-9e1f40");
    let refused = house.sandbox.sentry(["validate", "--online"]);
    assert_eq!(refused.code, Some(3), "{refused:?}");
    let text = refused.stdout + &refused.stderr;
    assert!(text.contains("the token is refused"), "{text}");
    assert!(!text.contains("another-token-9e1f40"), "{text}");
    assert!(house.tea.statuses().is_empty() && house.cluster.objects_of("PipelineRun").is_empty());
}
