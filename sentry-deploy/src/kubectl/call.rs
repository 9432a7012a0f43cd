//! One call of kubectl: arguments, environment, bounds, and what came back without secrets.

use std::ffi::OsString;
use std::time::Duration;

use sentry_core::deployer::{DeployError, DeployErrorKind};
use sentry_core::names::ClusterRef;
use sentry_core::plan::{ObjectRef, Plan, PlannedObject};
use sentry_core::secret::Redactor;
use sentry_process::{Lines, ProcessError, Program};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{KubectlSettings, answer, stderr};
use crate::api::{hidden, object, text};
use crate::kubeconfig;

/// The longest that one request of kubectl's may take. The server ends its own after 60 s, its webhooks' after 30.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// More than a check's answer for a full plan (5 MiB of manifests, pretty-printed).
const OUTPUT_CAP: usize = 32 << 20;
/// Server-side apply, as `sentry`.
pub(super) const APPLY: [&str; 5] = ["apply", "-f", "-", "--server-side", "--field-manager=sentry"];
/// Takes over what other field managers hold.
pub(super) const FORCE: &str = "--force-conflicts";

/// What a call left behind.
#[derive(Debug)]
pub(super) struct Reply {
    /// True if kubectl exited on its own with code 0.
    pub(super) success: bool,
    pub(super) stdout: String,
    /// One text per error; redacted and scrubbed.
    pub(super) errors: Vec<String>,
    /// Why it was killed, if it did not exit on its own.
    pub(super) ended: Option<DeployError>,
}

impl Reply {
    /// The error that a failed call as a whole amounts to.
    pub(super) fn error(&self, doing: &str) -> DeployError {
        if let Some(ended) = &self.ended {
            return ended.clone();
        }
        let text = self.errors.first().map_or("kubectl failed and did not say why", String::as_str);
        describe(doing, text)
    }
}

/// An error from one of kubectl's texts.
pub(super) fn describe(doing: &str, text: &str) -> DeployError {
    let (kind, hint) = answer::classify(text);
    let text = text::cut(&answer::plain(text));
    DeployError::new(kind, format!("{doing}: {text}")).with_optional_hint(hint)
}

/// True for an error that no server answered with about an object.
pub(super) fn is_general(error: &str) -> bool {
    let kind = answer::classify(error).0;
    kind == DeployErrorKind::Unauthorized
        || (!kind.is_answer() && answer::server_reason(error).is_none())
}

/// An error about one object, naming its file and document. What no server answered is about none.
pub(super) fn object_error(object: &ObjectRef, error: &str) -> DeployError {
    if is_general(error) {
        return describe("kubectl", error);
    }
    describe(&object::place(object), error)
}

/// Everything that calls for one cluster share.
#[derive(Debug, Clone)]
pub(super) struct Caller<'a> {
    settings: &'a KubectlSettings,
    cache: &'a std::path::Path,
    cluster: &'a ClusterRef,
    namespace: &'a str,
    until: Instant,
    /// What the plan's own Secret objects hold: known to nobody else.
    own: Redactor,
}

impl<'a> Caller<'a> {
    pub(super) fn new(
        settings: &'a KubectlSettings,
        cache: &'a std::path::Path,
        cluster: &'a ClusterRef,
        timeout: Duration,
    ) -> Self {
        let (until, namespace) = (Instant::now() + timeout, cluster.namespace.as_str());
        Self { settings, cache, cluster, namespace, until, own: Redactor::new() }
    }

    /// The same for another namespace: kubectl refuses an object that names another one than the call.
    pub(super) fn in_namespace(&self, namespace: &'a str) -> Self {
        Self { namespace, ..self.clone() }
    }

    /// Takes what the plan's Secret objects hold out of every text, and what is lent to its runs.
    pub(super) fn hiding(self, plan: &Plan) -> Self {
        hidden::learn(&self.own, plan);
        self
    }

    /// True if there is time left for another call.
    pub(super) fn has_time(&self) -> bool {
        self.until > Instant::now()
    }

    /// Runs kubectl with the cluster's own arguments before the given ones.
    ///
    /// # Errors
    /// Only if kubectl could not be started, so that nothing can have happened.
    pub(super) async fn run(&self, args: &[&str], stdin: Vec<u8>) -> Result<Reply, DeployError> {
        let left = self.until.saturating_duration_since(Instant::now());
        let request = left.min(REQUEST_TIMEOUT).as_millis().max(1);
        let program = self.program().arg(format!("--request-timeout={request}ms"));
        let program = program.args(args.iter().copied()).stdin(stdin).deadline(left);
        tracing::debug!(cluster = %self.cluster, namespace = self.namespace, ?args, "calling kubectl");
        match program.run().await {
            Ok(out) => Ok(Reply {
                success: out.status.success(),
                errors: self.clean(&out.stderr_text()),
                stdout: String::from_utf8_lossy(&out.stdout).into_owned(),
                ended: None,
            }),
            Err(ProcessError::Timeout { deadline, stdout, .. }) => {
                Ok(self.killed(deadline, &stdout))
            }
            Err(error @ ProcessError::Start { .. }) => Err(missing(&error)),
            Err(error) => {
                let ended = DeployError::new(DeployErrorKind::Local, error.to_string());
                Ok(Reply {
                    success: false,
                    stdout: String::new(),
                    errors: vec![],
                    ended: Some(ended),
                })
            }
        }
    }

    /// The answer to a GET of a path of the API.
    ///
    /// # Errors
    /// Whatever kubectl or the server said.
    pub(super) async fn get(&self, path: &str) -> Result<String, DeployError> {
        let reply = self.run(&["get", "--raw", path], Vec::new()).await?;
        if reply.success {
            Ok(reply.stdout)
        } else {
            Err(reply.error(&format!("can't read {} of {}", resource(path), self.cluster)))
        }
    }

    /// The lines of an answer that lasts until the caller's deadline at most.
    ///
    /// # Errors
    /// Only if kubectl could not be started.
    pub(super) fn lines(&self, path: &str) -> Result<Lines, DeployError> {
        let left = self.until.saturating_duration_since(Instant::now());
        tracing::debug!(cluster = %self.cluster, path, "starting kubectl for a watch");
        // No request timeout: it would end the watch with an error, and our own deadline holds.
        let program = self.program().args(["get", "--raw", path]).deadline(left);
        program.lines().map_err(|error| missing(&error))
    }

    fn program(&self) -> Program {
        let mut program = Program::new(&self.settings.path)
            .inherit_all(|name, value| kubeconfig::is_ours(&|text| self.redact(text), name, value))
            .inherit_proxy()
            .output_cap(OUTPUT_CAP)
            .arg(joined("--cache-dir=", self.cache))
            .arg(format!("--namespace={}", self.namespace));
        // As an argument, for a missing file is an error there, while through KUBECONFIG it silently means localhost.
        if let Some(kubeconfig) = &self.settings.kubeconfig {
            program = program.arg(joined("--kubeconfig=", kubeconfig));
        }
        match &self.cluster.context {
            Some(context) => program.arg(format!("--context={context}")),
            None => program,
        }
    }

    /// Killed at the deadline, which counts as no failure. If nothing at all came, the cluster is away.
    fn killed(&self, deadline: Duration, stdout: &[u8]) -> Reply {
        let stdout = String::from_utf8_lossy(stdout).into_owned();
        let seconds = deadline.as_secs_f32();
        let ended = if stdout.is_empty() {
            let text = format!("{} did not answer within {seconds:.1} s", self.cluster);
            DeployError::new(DeployErrorKind::Unreachable, text)
        } else {
            let text = format!("{} did not finish within {seconds:.1} s", self.cluster);
            DeployError::new(DeployErrorKind::Timeout, text)
                .with_hint("raise the watch's timeout, or check the API server's load")
        };
        Reply { success: false, stdout, errors: Vec::new(), ended: Some(ended) }
    }

    /// The text without any secret that is known.
    pub(super) fn redact(&self, text: &str) -> String {
        self.settings.redactor.redact(&self.own.redact(text))
    }

    fn clean(&self, stderr: &str) -> Vec<String> {
        clean(self.settings, |text| self.redact(text), stderr)
    }
}

/// The errors in kubectl's stderr, fit to be shown.
pub(super) fn clean(
    settings: &KubectlSettings,
    redact: impl Fn(&str) -> String,
    stderr: &str,
) -> Vec<String> {
    if !stderr.is_empty() {
        // They may have changed since the start.
        kubeconfig::learn(settings.kubeconfig.as_deref(), &settings.redactor);
    }
    stderr::errors(&redact(stderr)).iter().map(|error| text::scrub(error)).collect()
}

fn joined(option: &str, path: &std::path::Path) -> OsString {
    let mut argument = OsString::from(option);
    argument.push(path);
    argument
}

fn missing(error: &ProcessError) -> DeployError {
    let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    DeployError::new(DeployErrorKind::Local, format!("{error}: {cause}")).with_hint(
        "install kubectl, set `kubectl` to its path, or `deployer: native`, which needs none",
    )
}

/// The resource that a path is about, for error texts: its last word.
fn resource(path: &str) -> &str {
    let path = path.split('?').next().unwrap_or_default();
    path.rsplit('/').next().unwrap_or_default()
}

/// The very objects of the plan as one `List`, for kubectl's stdin.
pub(super) fn list(objects: &[&PlannedObject]) -> Vec<u8> {
    items(&objects.iter().map(|planned| &planned.json).collect::<Vec<_>>())
}

/// Any objects as one `List`.
pub(super) fn items(items: &[&Value]) -> Vec<u8> {
    json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string().into_bytes()
}

/// Objects that are only named, each an `apiVersion`, kind and name, as one `List`.
pub(super) fn references(objects: &[(String, String, String)]) -> Vec<u8> {
    let item = |(api_version, kind, name): &(String, String, String)| json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name}});
    let named: Vec<Value> = objects.iter().map(item).collect();
    items(&named.iter().collect::<Vec<_>>())
}
