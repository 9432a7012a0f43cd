//! What the demo needs of the world: two repositories on a forge, a cluster with a controller, and a configuration that
//! names them. All of it is in this process and in one directory.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::time::Duration;

use sentry_apiserver::{ApiServer, Outcome, kubeconfig};
use sentry_config::{Config, Environment, ProxyUrl};
use sentry_core::error;
use serde_json::json;
use tokio::net::TcpListener;

use super::forge::Forge;
use crate::exit::Failure;

/// A and B.
pub(super) const REPOSITORIES: [&str; 2] = ["product", "qa"];
/// What B keeps.
pub(super) const MANIFESTS: &[(&str, &str)] = &[
    (".tekton/config.yaml", include_str!("tekton/config.yaml")),
    (".tekton/smoke.yaml", include_str!("tekton/smoke.yaml")),
    (".tekton/task.yaml", include_str!("tekton/task.yaml")),
    (".tekton/unit.yaml", include_str!("tekton/unit.yaml")),
];

const CONFIG: &str = "\
forges:
  local: {type: gitea, url: \"${FORGE}\", token: \"${TOKEN}\"}
watches:
  - name: demo
    polling_interval: 1
    report_detail: reasons
    source: {url: \"${FORGE}/demo/product\", branches: [main]}
    manifests: {url: \"${FORGE}/demo/qa\", branch: main}
    cluster:
      {deployer: native, native: {kubeconfig: kubeconfig}, context: default,
       namespace: qa}
";
const SERVER: &str = "\
server:
  {public_url: \"${PAGE}\", trigger_token: \"${PAGE_TOKEN}\"}
";

/// An authority that signs nothing: its key was thrown away. With one, clients work on a machine that has no certificates, and
/// all that is asked here is asked without TLS.
const NOBODY: &str = include_str!("nobody.pem");

/// How long a run of the demo takes.
const RUN: Duration = Duration::from_millis(700);
/// How often the controller looks for runs.
const LOOK: Duration = Duration::from_millis(100);
/// What the step of a run that fails writes last.
const LOG: &str = "reading greeting.txt\nFAIL: want \"Hello\", got \"Good morning\"\n";

pub(super) struct Stage {
    pub(super) forge: Forge,
    pub(super) cluster: ApiServer,
    /// Where the page is, if it is wanted.
    pub(super) page: Option<Page>,
    /// What serves it.
    pub(super) listener: Option<TcpListener>,
    forge_token: String,
}

/// The page's place.
pub(super) struct Page {
    pub(super) url: String,
    pub(super) token: String,
}

impl Stage {
    /// Sets it; files go to the directory.
    pub(super) async fn set(dir: &Path, page: bool) -> Result<Self, Failure> {
        let failed = |what: &str, e: io::Error| {
            Failure::usage(format!("can't {what}")).with_source(e).with_hint(
                "the demo needs free ports on 127.0.0.1 and a temporary directory (TMPDIR)",
            )
        };
        let forge_token = token()?;
        let forge = Forge::start(&forge_token).await.map_err(|e| failed("start its forge", e))?;
        let [a, b] = REPOSITORIES;
        forge.commit(a, "Begin", &[("greeting.txt", "Hello\n")]);
        forge.commit(b, "What runs for every commit of A", MANIFESTS);
        let cluster = ApiServer::here().await.map_err(|e| failed("start its cluster", e))?;
        let at = json!({"server": cluster.url(), "certificate-authority": "nobody.pem"});
        std::fs::write(dir.join("nobody.pem"), NOBODY)
            .and_then(|()| std::fs::write(dir.join("kubeconfig"), kubeconfig(&at, &json!({}))))
            .map_err(|e| failed("write a kubeconfig", e))?;
        let mut stage = Self { forge, cluster, page: None, listener: None, forge_token };
        if page {
            let listener = TcpListener::bind(("127.0.0.1", 0)).await;
            let listener = listener.map_err(|e| failed("listen for the page", e))?;
            let at = listener.local_addr().map_err(|e| failed("listen for the page", e))?;
            stage.page = Some(Page { url: format!("http://{at}"), token: token()? });
            stage.listener = Some(listener);
        }
        Ok(stage)
    }

    /// sentry.yaml, as it is shown and as it is read.
    pub(super) fn config_text(&self) -> String {
        let server = self.page.as_ref().map(|page| SERVER.replace("${PAGE}", &page.url));
        CONFIG.replace("${FORGE}", self.forge.origin()) + &server.unwrap_or_default()
    }

    /// What it means; relative paths are below the directory.
    pub(super) fn config(&self, dir: &Path) -> Result<Config, Failure> {
        let page = self.page.as_ref().map(|page| page.token.clone()).unwrap_or_default();
        let tokens = [("TOKEN", self.forge_token.clone()), ("PAGE_TOKEN", page)];
        let env = Environment::new(tokens.map(|(name, value)| (name.to_owned(), value)).into());
        let file = dir.join("sentry.yaml");
        std::fs::write(&file, self.config_text())
            .map_err(|e| Failure::usage("can't write sentry.yaml").with_source(e))?;
        let mut config = sentry_config::load(&file, &env)?;
        // The person's own proxies lead out; nothing of the demo does. And the machine may have no authorities.
        for forge in &mut config.forges {
            forge.ca_file = Some(dir.join("nobody.pem"));
            forge.proxy = self.forge.origin().parse().ok().map(ProxyUrl::new);
            forge.no_proxy = vec!["127.0.0.1".to_owned()];
        }
        Ok(config)
    }

    /// Does what Tekton's controller would do to every run: it begins, and after a while it ends. Those of `unit.yaml` fail.
    pub(super) async fn control_runs(&self) -> std::convert::Infallible {
        let mut ends = BTreeMap::new();
        loop {
            let active: BTreeSet<String> = self.cluster.active_runs().into_iter().collect();
            ends.retain(|run, _| active.contains(run));
            for run in active {
                match ends.get(&run) {
                    None => {
                        self.cluster.begin_run(&run);
                        ends.insert(run, tokio::time::Instant::now() + RUN);
                    }
                    Some(end) if tokio::time::Instant::now() >= *end => {
                        self.cluster.finish_run(&run, outcome(&run));
                    }
                    Some(_) => {}
                }
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

fn outcome(run: &str) -> Outcome<'static> {
    if run.starts_with("unit-") {
        Outcome::Failed { task: "greeting", step: "test", exit_code: 1, log: LOG }
    } else {
        Outcome::Succeeded
    }
}

/// A secret that nobody can guess.
fn token() -> Result<String, Failure> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|e| {
        Failure::usage(format!("the system gives no random bytes: {}", error::text(&e)))
    })?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
