//! The road over GitHub's and GitLab's APIs, through an authenticating proxy, with a private CA.

use sentry_tests::apiserver::ApiServer;
use sentry_tests::forges::{ForgeOptions, github::GitHub, gitlab::GitLab};
use sentry_tests::proxy::HttpProxy;
use sentry_tests::repo::BareRepo;
use sentry_tests::sandbox::Sandbox;
use sentry_tests::tls::Tls;
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
