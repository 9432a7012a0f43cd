//! Clients of clusters. One is kept for each context until what it was made of changes, or is refused.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use http::HeaderValue;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::client::legacy::{Client, connect::Connect};
use hyper_util::rt::TokioExecutor;
use kube::Config;
use kube::client::{Body, ClientBuilder, ConfigExt as _};
use sentry_core::clock::{Clock as _, SystemClock, Timestamp};
use sentry_core::deployer::{DeployError, DeployErrorKind};
use sentry_core::secret::Secret;
use sentry_net::NameError;
use tokio::time::{Instant, timeout};

use super::config::{self, Proof, local};
use super::{NativeSettings, plugin};
use crate::kubeconfig;

/// How long a connection may take to be made; what is sent over it has its own limits.
const CONNECT: Duration = Duration::from_secs(10);
/// A plugin is asked again so long before what it gave expires.
const EARLY: Duration = Duration::from_secs(10);

/// A client with our proof of who we are.
pub(super) struct Connection {
    pub(super) client: kube::Client,
    pub(super) authorization: Option<HeaderValue>,
    expires: Option<Timestamp>,
    files: Vec<PathBuf>,
    /// What the files held.
    print: u64,
}

/// Shows nothing that is secret.
impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("files", &self.files).finish_non_exhaustive()
    }
}

type Slot = tokio::sync::Mutex<Option<Arc<Connection>>>;

/// The open connections, by context.
#[derive(Debug, Default)]
pub(super) struct Connections {
    slots: Mutex<HashMap<Option<String>, Arc<Slot>>>,
    prints: RandomState,
}

impl Connections {
    /// The connection of a context: the open one, if all that it was made of is as it was.
    ///
    /// # Errors
    /// What is wrong with the kubeconfig, or with its credential plugin.
    pub(super) async fn get(
        &self,
        settings: &NativeSettings,
        context: Option<&str>,
        limit: Duration,
    ) -> Result<Arc<Connection>, DeployError> {
        let slot = self.slot(context);
        let begun = Instant::now();
        let Ok(mut slot) = timeout(limit, slot.lock()).await else {
            let text = "getting credentials: another request is still waiting for them";
            return Err(DeployError::new(DeployErrorKind::Unauthorized, text));
        };
        let limit = limit.saturating_sub(begun.elapsed());
        if let Some(open) = slot.as_ref().filter(|open| self.is_fresh(open)) {
            return Ok(Arc::clone(open));
        }
        let fresh = Arc::new(self.open(settings, context, limit).await?);
        *slot = Some(Arc::clone(&fresh));
        Ok(fresh)
    }

    /// Gives a connection up that the cluster refused, so that the next one has a proof of now.
    pub(super) async fn give_up(&self, context: Option<&str>, used: &Arc<Connection>) {
        let slot = self.slot(context);
        let mut slot = slot.lock().await;
        slot.take_if(|open| Arc::ptr_eq(open, used));
    }

    fn slot(&self, context: Option<&str>) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(slots.entry(context.map(str::to_owned)).or_default())
    }

    fn is_fresh(&self, open: &Connection) -> bool {
        let expired = open.expires.is_some_and(|at| SystemClock.now() + EARLY >= at);
        !expired && self.print(&open.files) == open.print
    }

    /// What files hold, in short; it means something within this process only.
    fn print(&self, files: &[PathBuf]) -> u64 {
        self.prints.hash_one(files.iter().map(|file| kubeconfig::read(file)).collect::<Vec<_>>())
    }

    async fn open(
        &self,
        settings: &NativeSettings,
        context: Option<&str>,
        limit: Duration,
    ) -> Result<Connection, DeployError> {
        let redactor = &settings.redactor;
        kubeconfig::learn(settings.kubeconfig.as_deref(), redactor);
        let target = config::load(settings.kubeconfig.as_deref(), context).await?;
        let print = self.print(&target.files);
        let mut config = target.config;
        // Like kubectl, we show who we are to nobody who could be anybody.
        let is_secure = config.cluster_url.scheme_str() == Some("https");
        let (mut authorization, mut expires) = (None, None);
        match target.proof {
            _ if !is_secure => {}
            Proof::None => {}
            Proof::Token(token) => authorization = Some(bearer(&token)?),
            Proof::Password(name, password) => authorization = Some(basic(&name, &password)?),
            Proof::Plugin(plugin) => {
                let given = plugin::run(&plugin, redactor, limit).await?;
                given.token.iter().for_each(|token| redactor.learn(token));
                authorization = given.token.as_ref().map(bearer).transpose()?;
                expires = given.expires;
                if let Some((certificate, key)) = given.identity {
                    redactor.learn(&key);
                    let encode =
                        |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
                    config.auth_info.client_certificate_data = Some(encode(&certificate));
                    config.auth_info.client_key_data = Some(encode(key.expose()).into());
                }
            }
        }
        authorization.iter_mut().for_each(|header: &mut HeaderValue| header.set_sensitive(true));
        let client = client(&config).map_err(|error| unusable(&error))?;
        Ok(Connection { client, authorization, expires, files: target.files, print })
    }
}

fn unusable(error: &kube::Error) -> DeployError {
    let why = sentry_core::error::text(error);
    let hint = "check the certificates, `proxy-url` and `tls-server-name` of the kubeconfig";
    local(format!("can't make a client for the kubeconfig's cluster: {why}"), hint)
}

fn bearer(token: &Secret) -> Result<HeaderValue, DeployError> {
    header(&format!("Bearer {}", token.expose()))
}

fn basic(name: &str, password: &Secret) -> Result<HeaderValue, DeployError> {
    let pair = format!("{name}:{}", password.expose());
    header(&format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair)))
}

fn header(text: &str) -> Result<HeaderValue, DeployError> {
    HeaderValue::from_str(text).map_err(|_| {
        let text = "the credentials of the kubeconfig hold what no HTTP header may hold".to_owned();
        local(text, "write the token as one line without blanks")
    })
}

/// A client that goes through the proxy, if there is one.
fn client(config: &Config) -> Result<kube::Client, kube::Error> {
    let names = tower::service_fn(|name: Name| addresses(name.as_str().to_owned()));
    let mut http = HttpConnector::new_with_resolver(names);
    http.enforce_http(false);
    http.set_connect_timeout(Some(CONNECT));
    http.set_keepalive(Some(CONNECT));
    http.set_nodelay(true);
    let Some(proxy) = config.proxy_url.clone() else {
        return over(config.rustls_https_connector_with_connector(http)?, config);
    };
    match proxy.scheme_str() {
        Some("socks5" | "socks5h") => {
            let socks = SocksV5::new(proxy, http);
            over(config.rustls_https_connector_with_connector(socks)?, config)
        }
        Some("https") => {
            let secure = config.rustls_https_connector_with_connector(http)?;
            let tunnel = with_login(Tunnel::new(proxy.clone(), secure), &proxy);
            over(config.rustls_https_connector_with_connector(tunnel)?, config)
        }
        _ => {
            let tunnel = with_login(Tunnel::new(proxy.clone(), http), &proxy);
            over(config.rustls_https_connector_with_connector(tunnel)?, config)
        }
    }
}

/// The addresses of a host; the connector puts the port in.
async fn addresses(host: String) -> Result<std::vec::IntoIter<SocketAddr>, NameError> {
    let found = sentry_net::addresses(&host).await?;
    let found: Vec<_> = found.into_iter().map(|address| SocketAddr::new(address, 0)).collect();
    Ok(found.into_iter())
}

/// A tunnel that shows its proxy the user and password of the proxy's address.
fn with_login<C>(tunnel: Tunnel<C>, proxy: &http::Uri) -> Tunnel<C> {
    let url = url::Url::parse(&proxy.to_string()).ok();
    let Some(url) = url.filter(|url| !url.username().is_empty()) else { return tunnel };
    let password = Secret::new(decoded(url.password().unwrap_or_default()));
    match basic(&decoded(url.username()), &password) {
        Ok(header) => tunnel.with_auth(header),
        Err(_) => tunnel,
    }
}

/// What a part of a URL stands for, by the one decoder of percent signs that is at hand: of what is special to forms alone
/// nothing is left for it to find.
fn decoded(part: &str) -> String {
    let part = part.replace('+', "%2B").replace('=', "%3D").replace('&', "%26");
    let name = url::form_urlencoded::parse(part.as_bytes()).next();
    name.map(|(name, _)| name.into_owned()).unwrap_or_default()
}

fn over<C: Connect + Clone + Send + Sync + 'static>(
    connector: C,
    config: &Config,
) -> Result<kube::Client, kube::Error> {
    let http: Client<C, Body> = Client::builder(TokioExecutor::new()).build(connector);
    let builder = ClientBuilder::new(http, config.default_namespace.as_str());
    let builder = builder.with_layer(&config.base_uri_layer());
    Ok(builder.with_layer(&config.extra_headers_layer()?).build())
}
