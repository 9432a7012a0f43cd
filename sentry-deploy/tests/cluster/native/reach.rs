//! How a server is found and told who we are: every form of a kubeconfig.

use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sentry_apiserver::ApiServer;
use sentry_core::deployer::{Cluster as _, DeployError, DeployErrorKind, Probe};
use sentry_core::secret::Redactor;
use sentry_deploy::Native;
use sentry_tests::processes::script;
use sentry_tests::proxy::HttpProxy;
use sentry_tests::tls::Tls;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{TOKEN, cluster, deployer};

/// A server over TLS, and where its kubeconfig is written.
struct Ground {
    tls: Tls,
    server: ApiServer,
    home: TempDir,
    redactor: Redactor,
}

impl Ground {
    fn new() -> Self {
        let tls = Tls::with_names(&["api.internal"]);
        let server = ApiServer::start_tls(tls.server());
        Self::with(tls, server)
    }

    /// Its server speaks to nobody without a certificate.
    fn demanding() -> Self {
        let tls = Tls::new();
        let server = ApiServer::start_tls(tls.demanding_server());
        Self::with(tls, server)
    }

    fn with(tls: Tls, server: ApiServer) -> Self {
        let (home, redactor) = (tempfile::tempdir().unwrap(), Redactor::new());
        Self { tls, server, home, redactor }
    }

    fn url(&self) -> String {
        format!("https://localhost:{}", self.server.port())
    }

    fn cluster(&self) -> Value {
        json!({"server": self.url(), "certificate-authority": self.tls.ca_pem()})
    }

    /// A deployer for a cluster and a user of a kubeconfig.
    fn deployer(&self, cluster: &Value, user: &Value) -> Native {
        let kubeconfig = self.server.kubeconfig_as(self.home.path(), cluster, user);
        deployer(kubeconfig, self.redactor.clone(), |_| {})
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.home.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn script(&self, name: &str, text: &str) -> PathBuf {
        let path = self.home.path().join(name);
        script(&path, text);
        path
    }

    /// The proofs that the server was shown, each once, in order.
    fn shown(&self) -> Vec<String> {
        let mut shown: Vec<String> =
            self.server.requests().into_iter().map(|request| request.authorization).collect();
        shown.dedup();
        shown
    }
}

async fn probe(native: &Native) -> Probe {
    native.probe(&cluster(), false).await.unwrap().remove(0)
}

/// Asks for what needs an answer.
async fn ask(native: &Native) -> Result<(), DeployError> {
    native.forget_kinds(&cluster());
    native.kinds(&cluster(), &Default::default()).await.map(|_| ())
}

fn exec(command: &Path) -> Value {
    json!({"exec": {
        "apiVersion": "client.authentication.k8s.io/v1", "command": command,
        "args": ["get", "token"], "env": [{"name": "PROFILE", "value": "qa"}],
        "interactiveMode": "Never", "provideClusterInfo": true,
    }})
}

fn credential(status: &Value) -> String {
    let given = json!({"apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential", "status": status});
    given.to_string()
}

#[tokio::test]
async fn who_we_are_is_shown_in_each_way_that_a_kubeconfig_knows() {
    let ground = Ground::new();
    let file = ground.write("token", "from-a-file\n");
    for (user, shown) in [
        (json!({}), ""),
        (json!({"token": "the-token"}), "Bearer the-token"),
        (json!({"tokenFile": file}), "Bearer from-a-file"),
        (json!({"token": "other", "tokenFile": "token"}), "Bearer from-a-file"),
        (json!({"token": "the-token", "tokenFile": "missing"}), "Bearer the-token"),
        (json!({"username": "me", "password": "pass"}), "Basic bWU6cGFzcw=="),
        (
            json!({"auth-provider": {"name": "oidc", "config": {"id-token": "the-id"}}}),
            "Bearer the-id",
        ),
    ] {
        let native = ground.deployer(&ground.cluster(), &user);
        ask(&native).await.unwrap();
        let last = ground.server.requests().pop().unwrap();
        assert_eq!(last.authorization, shown, "{user}");
    }
}

#[tokio::test]
async fn nobody_is_shown_who_we_are_without_tls() {
    let ground = Ground::new();
    let plain = ApiServer::start();
    let native = ground.deployer(&json!({"server": plain.url()}), &json!({"token": "the-token"}));
    ask(&native).await.unwrap();
    assert!(plain.requests().iter().all(|request| request.authorization.is_empty()));
}

#[tokio::test]
async fn a_token_that_is_renewed_is_the_one_that_is_shown() {
    let ground = Ground::new();
    let file = ground.write("token", "first");
    let native = ground.deployer(&ground.cluster(), &json!({"tokenFile": file}));
    ground.server.faults().demand_token("first");
    ask(&native).await.unwrap();
    ground.server.faults().demand_token("second");
    let refused = ask(&native).await.unwrap_err();
    assert_eq!(refused.kind(), DeployErrorKind::Unauthorized, "{refused}");
    ground.write("token", "second");
    ask(&native).await.unwrap();
    assert_eq!(ground.shown(), ["Bearer first", "Bearer second"]);
}

#[tokio::test]
async fn a_certificate_is_shown_in_each_way_that_a_kubeconfig_gives_one() {
    let ground = Ground::demanding();
    let ours = ground.tls.client("sentry");
    let [certificate, key] = [("client.crt", &ours.certificate), ("client.key", &ours.key)]
        .map(|(name, pem)| ground.write(name, pem));
    let [encoded, encoded_key] = [&ours.certificate, &ours.key].map(|pem| STANDARD.encode(pem));
    let given = credential(&json!({
        "clientCertificateData": ours.certificate, "clientKeyData": ours.key}));
    let answer = ground.write("answer", &given);
    let plugin =
        ground.script("certificate-plugin", &format!("#!/bin/sh\ncat {}\n", answer.display()));
    for (way, user) in [
        ("files", json!({"client-certificate": certificate, "client-key": key})),
        (
            "files beside it",
            json!({"client-certificate": "client.crt", "client-key": "client.key"}),
        ),
        ("data", json!({"client-certificate-data": encoded, "client-key-data": encoded_key})),
        (
            "data before files",
            json!({"client-certificate-data": encoded, "client-key-data": encoded_key,
                "client-certificate": "missing", "client-key": "missing"}),
        ),
        (
            "with a token",
            json!({"client-certificate": certificate, "client-key": key, "token": "the-token"}),
        ),
        ("a plugin's", exec(&plugin)),
    ] {
        let before = ground.server.requests().len();
        ask(&ground.deployer(&ground.cluster(), &user))
            .await
            .unwrap_or_else(|e| panic!("{way}: {e:?}"));
        assert!(ground.server.requests().len() > before, "{way}");
    }
}

#[tokio::test]
async fn a_certificate_that_does_not_do_is_told_and_its_key_is_not() {
    let ground = Ground::demanding();
    let (ours, strange) = (ground.tls.client("sentry"), Tls::new().client("sentry"));
    let user = |certificate: &str, key: &str| {
        json!({"client-certificate-data": STANDARD.encode(certificate),
            "client-key-data": STANDARD.encode(key)})
    };
    for (way, user, kind) in [
        ("none", json!({"token": "the-token"}), DeployErrorKind::Unreachable),
        (
            "of another authority",
            user(&strange.certificate, &strange.key),
            DeployErrorKind::Unreachable,
        ),
        ("another's key", user(&ours.certificate, &strange.key), DeployErrorKind::Local),
        ("no certificate", user("c4nary", &ours.key), DeployErrorKind::Local),
        ("no key", user(&ours.certificate, "c4nary"), DeployErrorKind::Local),
        (
            "a file that is missing",
            json!({"client-certificate": "missing", "client-key": "missing"}),
            DeployErrorKind::Local,
        ),
    ] {
        let error = ask(&ground.deployer(&ground.cluster(), &user)).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{way}: {error}");
        let told = error.told();
        assert!(error.hint().is_some(), "{way}: {told}");
        assert!(!told.contains("c4nary") && !told.contains("PRIVATE KEY"), "{way}: {told}");
    }
    assert!(ground.server.requests().is_empty());
}

#[tokio::test]
async fn files_of_certificates_that_are_renewed_are_read_again() {
    let (ground, other) = (Ground::demanding(), Tls::new());
    let renew = |of: &Tls| {
        let client = of.client("sentry");
        ground.write("client.crt", &client.certificate);
        ground.write("client.key", &client.key);
    };
    let trust =
        |of: &Tls| std::fs::copy(of.ca_pem(), ground.home.path().join("ca.pem")).map(drop).unwrap();
    let cluster = json!({"server": ground.url(), "certificate-authority": "ca.pem"});
    let user = json!({"client-certificate": "client.crt", "client-key": "client.key"});
    renew(&other);
    trust(&ground.tls);
    let native = ground.deployer(&cluster, &user);
    for (what, change) in
        [("ours", &|| renew(&ground.tls) as ()), ("trust", &|| trust(&ground.tls))]
            as [(&str, &dyn Fn()); 2]
    {
        ask(&native).await.unwrap_err();
        change();
        ask(&native).await.unwrap_or_else(|error| panic!("{what}: {error:?}"));
        trust(&other);
    }
}

#[tokio::test]
async fn a_plugin_is_asked_once_and_again_when_what_it_gave_is_refused_or_expires() {
    let ground = Ground::new();
    let count = ground.home.path().join("count");
    let plugin = ground.script(
        "plugin",
        &format!(
            "#!/bin/sh\necho x >> {0}\nn=$(wc -l < {0})\necho '{1}' | sed \"s/NUMBER/$n/\"\n",
            count.display(),
            credential(&json!({"token": "token-NUMBER"}))
        ),
    );
    let native = ground.deployer(&ground.cluster(), &exec(&plugin));
    ground.server.faults().demand_token("token-1");
    ask(&native).await.unwrap();
    ask(&native).await.unwrap();
    assert_eq!(std::fs::read_to_string(&count).unwrap(), "x\n");
    ground.server.faults().demand_token("token-2");
    ask(&native).await.unwrap();
    assert_eq!(ground.shown(), ["Bearer token-1", "Bearer token-2"]);
    assert_eq!(ground.redactor.redact("token-2"), "[redacted]", "servers may repeat it");
    let brief = ground.script(
        "brief",
        &format!(
            "#!/bin/sh\necho x >> {}\necho '{}'\n",
            count.display(),
            credential(&json!({"token": "brief", "expirationTimestamp": "2020-01-01T00:00:00Z"}))
        ),
    );
    ground.server.faults().heal();
    let native = ground.deployer(&ground.cluster(), &exec(&brief));
    ask(&native).await.unwrap();
    let asked = std::fs::read_to_string(&count).unwrap().len();
    ask(&native).await.unwrap();
    assert!(std::fs::read_to_string(&count).unwrap().len() > asked);
}

#[tokio::test]
async fn a_plugin_is_told_what_the_kubeconfig_says_and_has_no_secret_of_ours() {
    let ground = Ground::new();
    ground.redactor.learn(&sentry_core::secret::Secret::new(TOKEN));
    let plugin = ground.script(
        "plugin",
        &format!(
            "#!/bin/sh\nenv > \"$0.env\"\necho \"$@\" >> \"$0.env\"\necho '{}'\n",
            credential(&json!({"token": "given"}))
        ),
    );
    let native = ground.deployer(&ground.cluster(), &exec(&plugin));
    ask(&native).await.unwrap();
    let told = std::fs::read_to_string(ground.home.path().join("plugin.env")).unwrap();
    assert!(told.contains("PROFILE=qa") && told.ends_with("get token\n"), "{told}");
    let info = told.lines().find_map(|line| line.strip_prefix("KUBERNETES_EXEC_INFO=")).unwrap();
    let info: Value = serde_json::from_str(info).unwrap();
    assert_eq!(info["spec"]["interactive"], false);
    assert_eq!(info["spec"]["cluster"]["server"], ground.url().as_str());
    assert!(!told.contains(TOKEN));
}

#[tokio::test]
async fn a_plugin_that_fails_is_waited_for_and_nothing_that_it_says_is_repeated() {
    let ground = Ground::new();
    let secret = "c4nary-of-the-plugin";
    for (text, why) in [
        (format!("#!/bin/sh\necho {secret} >&2\necho {secret}\nexit 3\n"), "failed"),
        (format!("#!/bin/sh\necho '{{\"token\": \"{secret}\"}}'\n"), "did not answer with"),
        (format!("#!/bin/sh\necho '{}'\n", credential(&json!({}))), "gave neither"),
        ("#!/bin/sh\nhead -c 2000000 /dev/zero\n".to_owned(), "gave nothing"),
    ] {
        let native = ground.deployer(&ground.cluster(), &exec(&ground.script("plugin", &text)));
        let error = ask(&native).await.unwrap_err();
        assert_eq!(error.kind(), DeployErrorKind::Unauthorized, "{error}");
        let told = error.told();
        assert!(told.contains(why) && !told.contains(secret), "{told}");
    }
    let missing = ground.deployer(&ground.cluster(), &exec(Path::new("/nowhere/plugin")));
    let error = ask(&missing).await.unwrap_err();
    assert_eq!(error.kind(), DeployErrorKind::Unauthorized, "{error}");
    assert!(error.told().contains("install"), "{error:?}");
    assert!(ground.server.requests().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_plugin_that_hangs_is_ended_with_all_that_it_started() {
    let ground = Ground::new();
    let plugin = ground.script("plugin", "#!/bin/sh\ntrap '' TERM\nsleep 900 &\nsleep 900\n");
    let native = ground.deployer(&ground.cluster(), &exec(&plugin));
    let begun = tokio::time::Instant::now();
    let error = ask(&native).await.unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(40), "{error}");
    assert_eq!(error.kind(), DeployErrorKind::Unauthorized, "{error}");
    let mark = ground.home.path().to_string_lossy().into_owned();
    assert!(sentry_tests::processes::marked(&mark).is_empty());
}

#[tokio::test]
async fn a_server_that_is_not_trusted_is_told_and_gets_no_token() {
    let ground = Ground::new();
    let user = json!({"token": "the-token"});
    let other = Tls::new();
    for cluster in [
        json!({"server": ground.url(), "certificate-authority": other.ca_pem()}),
        json!({"server": ground.url(), "certificate-authority": ground.tls.ca_pem(),
            "tls-server-name": "elsewhere.internal"}),
    ] {
        let error = ask(&ground.deployer(&cluster, &user)).await.unwrap_err();
        assert_eq!(error.kind(), DeployErrorKind::Unreachable, "{error}");
        assert!(error.to_string().contains("certificate"), "{error}");
        assert!(error.hint().unwrap().contains("CA"), "{error:?}");
    }
    assert!(ground.server.requests().is_empty());
    let mut named = ground.cluster();
    named["tls-server-name"] = json!("api.internal");
    ask(&ground.deployer(&named, &user)).await.unwrap();
    let blind = json!({"server": ground.url(), "insecure-skip-tls-verify": true});
    ask(&ground.deployer(&blind, &user)).await.unwrap();
}

#[tokio::test]
async fn a_proxy_of_the_kubeconfig_leads_to_the_server_and_is_told_its_own_password_alone() {
    let ground = Ground::new();
    let proxy = HttpProxy::start(Some(("user", "p@ss:+w0rd")));
    proxy.lead(&format!("api.internal:{}", ground.server.port()), ground.server.port());
    let server = format!("https://api.internal:{}", ground.server.port());
    let mut cluster = json!({"server": server, "certificate-authority": ground.tls.ca_pem(),
        "proxy-url": proxy.url_with_credentials()});
    let user = json!({"token": "the-token"});
    ask(&ground.deployer(&cluster, &user)).await.unwrap();
    assert_eq!(ground.shown(), ["Bearer the-token"]);
    cluster["proxy-url"] = json!(proxy.url());
    let error = ask(&ground.deployer(&cluster, &user)).await.unwrap_err();
    assert_eq!(error.kind(), DeployErrorKind::Unreachable, "{error}");
}

#[tokio::test]
async fn a_kubeconfig_that_can_not_be_used_is_ours_to_repair_and_is_not_quoted() {
    let ground = Ground::new();
    let path = ground.home.path().join("kubeconfig");
    let native = deployer(path.clone(), Redactor::new(), |_| {});
    for (text, why) in [
        (None, "can't read the kubeconfig"),
        (Some("users: [{name: a, user: {token: c4nary"), "can't be parsed"),
        (Some("{}"), "no kubeconfig"),
        (Some("contexts: [{name: other, context: {cluster: c, user: u}}]"), "context"),
    ] {
        if let Some(text) = text {
            std::fs::write(&path, text).unwrap();
        }
        let error = ask(&native).await.unwrap_err();
        assert_eq!(error.kind(), DeployErrorKind::Local, "{error}");
        let told = error.told();
        assert!(told.contains(why) && !told.contains("c4nary"), "{told}");
        assert!(error.hint().is_some());
        assert!(!probe(&native).await.allowed);
    }
    // Repaired, it is used without a restart.
    let user = json!({"token": "the-token"});
    let _ = ground.server.kubeconfig_as(ground.home.path(), &ground.cluster(), &user);
    ask(&native).await.unwrap();
}
