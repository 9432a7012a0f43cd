//! Credential plugins of a kubeconfig (`exec`): one run gives a token or a certificate.
//!
//! What goes in and out is `ExecCredential` of client.authentication.k8s.io, v1 and v1beta1.

use std::time::Duration;

use kube::config::{ExecConfig, ExecInteractiveMode};
use sentry_core::clock::Timestamp;
use sentry_core::deployer::{DeployError, DeployErrorKind};
use sentry_core::secret::{Redactor, Secret};
use sentry_process::{ProcessError, Program};
use serde_json::{Value, json};

use super::config::local;
use crate::kubeconfig::is_ours;

/// The longest that a plugin may take. Most ask another server once.
const LONGEST: Duration = Duration::from_secs(30);
/// More than any token or certificate has, in bytes.
const OUTPUT: usize = 1 << 20;

/// What a plugin gave.
#[derive(Debug, Default)]
pub(super) struct Given {
    pub(super) token: Option<Secret>,
    /// Certificate and key, as PEM.
    pub(super) identity: Option<(String, Secret)>,
    /// When it must be asked again; without one, when the cluster refuses what it gave.
    pub(super) expires: Option<Timestamp>,
}

/// Runs a plugin with the environment of a shell, less what is Sentry's own.
///
/// # Errors
/// [`DeployErrorKind::Unauthorized`], which is waited for: what the plugin asks may be away. Nothing that it printed is in
/// the text, for that may be what is secret.
pub(super) async fn run(
    plugin: &ExecConfig,
    redactor: &Redactor,
    limit: Duration,
) -> Result<Given, DeployError> {
    let command = plugin.command.as_deref().unwrap_or_default();
    if plugin.interactive_mode == Some(ExecInteractiveMode::Always) {
        let text = format!("the kubeconfig's credential plugin {command} wants a terminal");
        return Err(local(text, "use one that needs none: `interactiveMode: Never`"));
    }
    let info = info(plugin);
    let redact = |text: &str| redactor.redact(text);
    let mut program = Program::new(command)
        .inherit_all(|name, value| is_ours(&redact, name, value))
        .inherit_proxy()
        .args(plugin.args.clone().unwrap_or_default())
        .env("KUBERNETES_EXEC_INFO", info.to_string())
        .deadline(limit.min(LONGEST))
        .output_cap(OUTPUT);
    for pair in plugin.env.iter().flatten() {
        if let (Some(name), Some(value)) = (pair.get("name"), pair.get("value")) {
            program = program.env(name, value);
        }
    }
    tracing::debug!(command, "asking a credential plugin");
    let failed = |why: String| {
        let text = format!("getting credentials: the plugin {command} {why}");
        DeployError::new(DeployErrorKind::Unauthorized, text)
    };
    let output = program.run().await.map_err(|error| match &error {
        ProcessError::Start { .. } => failed("can't be started".to_owned())
            .with_hint(plugin.install_hint.as_deref().unwrap_or(INSTALL)),
        other => failed(format!("gave nothing: {other}")).with_hint(LOG_IN),
    })?;
    if !output.status.success() {
        return Err(failed(format!("failed: {}", output.status)).with_hint(LOG_IN));
    }
    let given: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    if given["apiVersion"] != info["apiVersion"] {
        let why = format!("did not answer with an ExecCredential of {}", info["apiVersion"]);
        return Err(failed(why));
    }
    read(&given["status"]).ok_or_else(|| failed("gave neither a token nor a certificate".into()))
}

const INSTALL: &str = "install it where Sentry runs, or give the kubeconfig's user a token";
const LOG_IN: &str = "run it as Sentry's user to see what it says";

/// What it is told on `KUBERNETES_EXEC_INFO`.
fn info(plugin: &ExecConfig) -> Value {
    let version = plugin.api_version.as_deref().unwrap_or("client.authentication.k8s.io/v1");
    let mut spec = json!({"interactive": false});
    if let Some(cluster) = plugin.cluster.as_ref().filter(|_| plugin.provide_cluster_info) {
        spec["cluster"] = serde_json::to_value(cluster).unwrap_or_default();
    }
    json!({"apiVersion": version, "kind": "ExecCredential", "spec": spec})
}

fn read(status: &Value) -> Option<Given> {
    let text = |field: &str| status[field].as_str().filter(|text| !text.is_empty());
    let identity = text("clientCertificateData").zip(text("clientKeyData"));
    let given = Given {
        token: text("token").map(Secret::new),
        identity: identity.map(|(cert, key)| (cert.to_owned(), Secret::new(key))),
        expires: text("expirationTimestamp").and_then(|time| time.parse().ok()),
    };
    (given.token.is_some() || given.identity.is_some()).then_some(given)
}
