//! Where a cluster is and who we are there: from kubeconfigs, merged as kubectl merges them, or from the pod.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use kube::Config;
use kube::config::{AuthInfo, Cluster, ExecConfig, KubeConfigOptions, Kubeconfig, KubeconfigError};
use secrecy::ExposeSecret as _;
use sentry_core::deployer::{DeployError, DeployErrorKind};
use sentry_core::secret::Secret;
use sentry_net::Proxies;
use sha2::{Digest as _, Sha256};
use url::Url;

use crate::api::answer::{KUBECONFIG, NO_CLUSTER};
use crate::kubeconfig::{self, LARGEST, POD_ACCOUNT, POD_TOKEN};

/// A cluster's address and how it is reached.
#[derive(Debug)]
pub(super) struct Target {
    /// With what TLS needs and whom to impersonate; without whatever else proves who we are.
    pub(super) config: Config,
    pub(super) proof: Proof,
    /// All that this was read from: when one of them changes, it must be read again.
    pub(super) files: Vec<PathBuf>,
}

/// How we prove who we are, beside a certificate.
#[derive(Debug)]
pub(super) enum Proof {
    None,
    Password(String, Secret),
    Token(Secret),
    Plugin(Box<ExecConfig>),
}

/// What a kubeconfig or the pod says of a context; without one, of the current context.
///
/// # Errors
/// [`DeployErrorKind::Local`] if it can't be used.
pub(super) async fn load(
    named: Option<&Path>,
    context: Option<&str>,
) -> Result<Target, DeployError> {
    let (merged, paths) = match found(named, context)? {
        Found::Pod => return pod(),
        Found::Files(merged, paths) => (*merged, paths),
    };
    let own_proxy = cluster(&merged, context)
        .and_then(|cluster| cluster.proxy_url.clone())
        .is_some_and(|proxy| !proxy.is_empty());
    let ca_file = cluster(&merged, context).and_then(|it| it.certificate_authority.clone());
    let mut config = of_context(merged, context).await?;
    if !own_proxy {
        config.proxy_url = proxy(&config.cluster_url.to_string());
    }
    let user = std::mem::take(&mut config.auth_info);
    let referred = [&ca_file, &user.client_certificate, &user.client_key, &user.token_file];
    let referred = referred.into_iter().flatten().map(PathBuf::from);
    let files = paths.into_iter().chain(referred).collect();
    let proof = proof(&user)?;
    config.auth_info = without_proof(user);
    Ok(Target { config, proof, files })
}

/// What every process calls the same cluster, whatever the contexts of its kubeconfig are named: its address and the
/// certificates by which it is verified, for a context or, without one, for the current context or the pod's own cluster. The
/// cluster is not asked, and who we are does not matter.
///
/// # Errors
/// [`DeployErrorKind::Local`] if there is no such cluster: a person must act.
pub async fn cluster_identity(
    kubeconfig: Option<&Path>,
    context: Option<&str>,
) -> Result<String, DeployError> {
    let config = match found(kubeconfig, context)? {
        Found::Pod => pod_cluster()?,
        Found::Files(merged, _) => of_context(*merged, context).await?,
    };
    let address = config.cluster_url.to_string();
    let address = Url::parse(&address).map_or(address, String::from);
    // In whatever order a file has them.
    let authorities: BTreeSet<_> = config.root_cert.iter().flatten().map(Sha256::digest).collect();
    let hash = authorities.iter().fold(Sha256::new(), |hash, one| hash.chain_update(one));
    let hash = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    Ok(format!("{} {hash}", address.trim_end_matches('/')))
}

/// Where clusters are named.
enum Found {
    Pod,
    Files(Box<Kubeconfig>, Vec<PathBuf>),
}

fn found(named: Option<&Path>, context: Option<&str>) -> Result<Found, DeployError> {
    let paths = kubeconfig::files(named, |name| std::env::var_os(name));
    let merged = merge(&paths, named.is_some())?;
    if !merged.clusters.is_empty() || !merged.contexts.is_empty() {
        return Ok(Found::Files(Box::new(merged), paths));
    }
    if named.is_some() || std::env::var_os("KUBERNETES_SERVICE_HOST").is_none() {
        return Err(local("there is no kubeconfig".to_owned(), NO_CLUSTER));
    }
    let Some(context) = context else { return Ok(Found::Pod) };
    let text = format!("this pod has no kubeconfig, so there is no context {context}");
    Err(local(text, "mount a kubeconfig, or leave `context` out for the pod's account"))
}

async fn of_context(merged: Kubeconfig, context: Option<&str>) -> Result<Config, DeployError> {
    let options = KubeConfigOptions { context: context.map(str::to_owned), ..Default::default() };
    let config = Config::from_custom_kubeconfig(merged, &options).await;
    config.map_err(|error| unusable(&error))
}

/// The files as one: the first to say something wins. One that was named must be there.
fn merge(paths: &[PathBuf], must_exist: bool) -> Result<Kubeconfig, DeployError> {
    let mut merged = Kubeconfig::default();
    for path in paths.iter().filter(|path| !path.as_os_str().is_empty()) {
        let file = match std::fs::metadata(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !must_exist => continue,
            Err(error) => {
                let text = format!("can't read the kubeconfig {}: {error}", path.display());
                return Err(local(
                    text,
                    "set `kubeconfig` to the path of one that Sentry may read",
                ));
            }
        };
        if !file.is_file() || file.len() > LARGEST {
            let text = format!("{} is no kubeconfig: no file, or too large", path.display());
            return Err(local(text, KUBECONFIG));
        }
        let mut read = Kubeconfig::read_from(path).map_err(|error| unusable(&error))?;
        // One that is empty says nothing, as for kubectl, which leaves it so.
        read.current_context.take_if(|name| name.is_empty());
        merged = merged.merge(read).map_err(|error| unusable(&error))?;
    }
    Ok(merged)
}

/// The cluster of a context.
fn cluster<'a>(config: &'a Kubeconfig, context: Option<&str>) -> Option<&'a Cluster> {
    let name = context.or(config.current_context.as_deref())?;
    let context = config.contexts.iter().find(|it| it.name == name)?.context.as_ref()?;
    config.clusters.iter().find(|it| it.name == context.cluster)?.cluster.as_ref()
}

/// The pod's own account. Its token is renewed all the time, so the file stays the proof.
fn pod() -> Result<Target, DeployError> {
    let mut config = pod_cluster()?;
    let token = read_token(Path::new(POD_TOKEN))?;
    let proof = Proof::Token(token);
    let files = vec![PathBuf::from(POD_TOKEN), Path::new(POD_ACCOUNT).join("ca.crt")];
    config.auth_info = AuthInfo::default();
    config.proxy_url = proxy(&config.cluster_url.to_string());
    Ok(Target { config, proof, files })
}

fn pod_cluster() -> Result<Config, DeployError> {
    Config::incluster()
        .map_err(|error| local(format!("can't use the pod's service account: {error}"), ACCOUNT))
}

const ACCOUNT: &str = "mount the service account's token: `automountServiceAccountToken: true`";

/// The file of a token comes before the token that stands beside it, as in client-go (`transport/round_trippers.go`).
fn proof(user: &AuthInfo) -> Result<Proof, DeployError> {
    if let Some(plugin) = &user.exec {
        return Ok(Proof::Plugin(Box::new(plugin.clone())));
    }
    if let Some(provider) = &user.auth_provider {
        return match provider.config.get("id-token").filter(|_| provider.name == "oidc") {
            Some(token) => Ok(Proof::Token(Secret::new(token.as_str()))),
            None => {
                let text =
                    format!("the kubeconfig's auth-provider {:?} is not supported", provider.name);
                Err(local(text, "use the provider's credential plugin (`exec`) instead"))
            }
        };
    }
    let inline = user.token.as_ref().map(|token| Secret::new(token.expose_secret()));
    match (&user.token_file, inline) {
        (Some(file), inline) => match (read_token(Path::new(file)), inline) {
            (Ok(token), _) | (Err(_), Some(token)) => Ok(Proof::Token(token)),
            (Err(error), None) => Err(error),
        },
        (None, Some(token)) => Ok(Proof::Token(token)),
        (None, None) => Ok(match (&user.username, &user.password) {
            (Some(name), Some(password)) => {
                Proof::Password(name.clone(), Secret::new(password.expose_secret()))
            }
            _ => Proof::None,
        }),
    }
}

fn read_token(path: &Path) -> Result<Secret, DeployError> {
    match kubeconfig::read(path) {
        Some(token) => Ok(Secret::new(token.trim())),
        None => {
            let text = format!("can't read the token in {}", path.display());
            Err(local(text, "write the cluster's token there, readable for Sentry"))
        }
    }
}

/// What is left for TLS and for impersonation: everything else is [`Proof`].
fn without_proof(user: AuthInfo) -> AuthInfo {
    AuthInfo {
        username: None,
        password: None,
        token: None,
        token_file: None,
        exec: None,
        auth_provider: None,
        ..user
    }
}

/// The environment's proxy for an address. One of this machine is reached directly, as by Go's programs.
fn proxy(server: &str) -> Option<http::Uri> {
    let url = Url::parse(server).ok()?;
    let is_here = match url.host()? {
        url::Host::Domain(name) => name == "localhost",
        url::Host::Ipv4(ip) => ip.is_loopback(),
        url::Host::Ipv6(ip) => ip.is_loopback(),
    };
    Proxies::from_env().of(&url).filter(|_| !is_here)?.as_str().parse().ok()
}

/// What can't be parsed is not quoted: there are secrets in it.
fn unusable(error: &KubeconfigError) -> DeployError {
    let text = match error {
        KubeconfigError::Parse(error) => {
            let place = error.location().map(|at| format!(", line {}", at.line()));
            format!("it can't be parsed{}", place.unwrap_or_default())
        }
        other => other.to_string(),
    };
    local(format!("can't use the kubeconfig: {text}"), KUBECONFIG)
}

pub(super) fn local(text: String, hint: &str) -> DeployError {
    DeployError::new(DeployErrorKind::Local, text).with_hint(hint)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::process::Command;

    use serde_json::Value;
    use tempfile::tempdir;

    use super::*;

    /// A file with a cluster and a user of one name, at an address and with a token that say which file it is.
    fn file(cluster: &str, of: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Config\n\
             clusters: [{{name: {cluster}, cluster: {{server: 'https://{of}.example'}}}}]\n\
             users: [{{name: {cluster}, user: {{token: of-{of}}}}}]\n\
             contexts: [{{name: {cluster}, context: {{cluster: {cluster}, user: {cluster}}}}}]\n"
        )
    }

    fn current(context: &str) -> String {
        format!("apiVersion: v1\nkind: Config\ncurrent-context: '{context}'\n")
    }

    /// The address and the token of the context, as kubectl finds them.
    fn by_kubectl(paths: &[PathBuf], context: Option<&str>) -> Option<(String, String)> {
        let list = paths.iter().map(|path| path.as_os_str().to_owned()).collect::<Vec<OsString>>();
        let mut kubectl = Command::new("kubectl");
        kubectl.args(["config", "view", "--raw", "--minify", "-o", "json"]).env_clear();
        kubectl.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        kubectl.env("KUBECONFIG", list.join(&OsString::from(":")));
        kubectl.args(context.iter().flat_map(|name| ["--context", name]));
        let answer = kubectl.output().unwrap();
        let config: Value = serde_json::from_slice(&answer.stdout).ok()?;
        let server = config["clusters"][0]["cluster"]["server"].as_str()?;
        Some((server.to_owned(), config["users"][0]["user"]["token"].as_str()?.to_owned()))
    }

    async fn by_us(paths: &[PathBuf], context: Option<&str>) -> Option<(String, String)> {
        let config = of_context(merge(paths, false).ok()?, context).await.ok()?;
        let token = config.auth_info.token?.expose_secret().to_owned();
        Some((config.cluster_url.to_string().trim_end_matches('/').to_owned(), token))
    }

    #[tokio::test]
    async fn of_several_files_the_same_context_is_found_as_kubectl_finds() {
        let home = tempdir().unwrap();
        let files = [
            ("a", file("one", "a")),
            ("b", file("one", "b") + "current-context: one\n"),
            ("c", file("two", "c") + "current-context: two\n"),
            ("nothing", current("")),
            ("one", current("one")),
            ("two", current("two")),
            ("elsewhere", current("elsewhere")),
            ("empty", String::new()),
            ("damaged", "clusters: [{name: c4nary".to_owned()),
        ];
        files.iter().for_each(|(name, text)| std::fs::write(home.path().join(name), text).unwrap());
        let (mut found, mut not) = (0, 0);
        for list in [
            "a",
            "b",
            "c",
            "a b",
            "b a",
            "a c",
            "c a",
            "a b c",
            "c b a",
            "nothing a",
            "nothing b",
            "nothing c a",
            "one a",
            "one c",
            "two a c",
            "one a c",
            "c one",
            "elsewhere a c",
            "missing b",
            "b missing",
            "missing",
            "empty b",
            "b empty",
            "empty",
            "damaged b",
            "b damaged",
        ] {
            let paths: Vec<_> = list.split(' ').map(|name| home.path().join(name)).collect();
            for context in [None, Some("one"), Some("two"), Some("three")] {
                let kubectl = by_kubectl(&paths, context);
                *(if kubectl.is_some() { &mut found } else { &mut not }) += 1;
                assert_eq!(by_us(&paths, context).await, kubectl, "{list}, {context:?}");
            }
        }
        assert!(found > 30 && not > 30, "{found}, {not}");
    }
}
