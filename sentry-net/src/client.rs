//! The one HTTP client: whom it trusts, which proxy it takes, how long it waits, how much it reads.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Response, Url, redirect};

use crate::authorities::{Authorities, AuthoritiesError};
use crate::failure::Failure;
use crate::names;
use crate::proxies::{self, Proxies};
use crate::trust;

/// How long is waited for an exchange, at most.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// For a connection, TLS included; `None`: as long as for the whole.
    pub connect: Option<Duration>,
    /// For the next bytes of an answer; `None`: as long as for the whole.
    pub silence: Option<Duration>,
    /// For the whole, unless the request brings its own.
    pub total: Duration,
}

/// A client can't be set up. A person must act.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The file with further certificates can't be used.
    #[error(transparent)]
    Authorities(#[from] AuthoritiesError),
    /// The system has no certificate authorities.
    #[error("the HTTP client can't be set up")]
    Roots(#[source] rustls::Error),
    /// The client refuses its settings.
    #[error("the HTTP client can't be set up")]
    Client(#[source] reqwest::Error),
}

impl SetupError {
    /// What comes of it, as a clause that the error itself is the cause of.
    #[must_use]
    pub fn what(&self) -> &'static str {
        match self {
            Self::Authorities(_) => "its certificates are not usable",
            Self::Roots(_) | Self::Client(_) => "can't send requests",
        }
    }

    /// What a person can do, where it is known.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Authorities(error) => Some(error.hint()),
            Self::Roots(_) => {
                Some("install the system's root certificates (package ca-certificates)")
            }
            Self::Client(_) => None,
        }
    }
}

/// A client that follows no redirect and tells nobody where it came from. Clones share one pool of connections.
#[derive(Debug, Clone)]
pub struct Client {
    client: reqwest::Client,
    proxies: Proxies,
}

impl Client {
    /// A client that trusts the certificates of this file besides the system's and takes these proxies and no other. Nobody
    /// is asked anything yet.
    ///
    /// # Errors
    /// [`SetupError`].
    pub fn new(ca_file: Option<&Path>, proxies: Proxies, times: Times) -> Result<Self, SetupError> {
        Self::with(ca_file, proxies, times, Names { is_public: false })
    }

    /// One that connects to no address of a private network, whatever a name leads to. An address that stands in a URL by
    /// itself is not looked at, nor what a proxy connects to.
    ///
    /// # Errors
    /// [`SetupError`].
    pub fn public(
        ca_file: Option<&Path>,
        proxies: Proxies,
        times: Times,
    ) -> Result<Self, SetupError> {
        Self::with(ca_file, proxies, times, Names { is_public: true })
    }

    fn with(
        ca_file: Option<&Path>,
        proxies: Proxies,
        times: Times,
        names: Names,
    ) -> Result<Self, SetupError> {
        let tls = trust::config(&Authorities::of(ca_file)?).map_err(SetupError::Roots)?;
        let mut builder = reqwest::Client::builder()
            .redirect(redirect::Policy::none())
            .referer(false)
            .user_agent(concat!("sentry/", env!("CARGO_PKG_VERSION")))
            .timeout(times.total)
            .dns_resolver(Arc::new(names))
            .tls_backend_preconfigured(tls);
        if let Some(connect) = times.connect {
            builder = builder.connect_timeout(connect);
        }
        if let Some(silence) = times.silence {
            builder = builder.read_timeout(silence);
        }
        let client = proxies::apply(builder, &proxies).build().map_err(SetupError::Client)?;
        Ok(Self { client, proxies })
    }

    /// What builds and sends requests.
    #[must_use]
    pub fn requests(&self) -> &reqwest::Client {
        &self.client
    }

    /// Why a request to this URL has no answer.
    #[must_use]
    pub fn failure(&self, error: &reqwest::Error, url: &Url) -> Failure {
        Failure::of(error, url, &self.proxies)
    }
}

struct Names {
    is_public: bool,
}

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let is_public = self.is_public;
        Box::pin(async move {
            let mut found = names::addresses(name.as_str()).await?;
            if is_public {
                found.retain(|address| names::is_public(*address));
                if found.is_empty() {
                    return Err(names::NameError::Private { host: name.as_str().to_owned() }.into());
                }
            }
            // The client puts the URL's port in.
            let found = found.into_iter().map(|address| SocketAddr::new(address, 0));
            Ok(Box::new(found) as Addrs)
        })
    }
}

/// Reads an answer to its end, but no more than `cap` bytes; true if there were more.
///
/// # Errors
/// The answer broke off, or did not come in time. What had come stands in `body`.
pub async fn read(
    response: &mut Response,
    cap: usize,
    body: &mut Vec<u8>,
) -> reqwest::Result<bool> {
    // What the server says of its length is only believed as far as it is allowed.
    let announced = response.content_length().and_then(|length| usize::try_from(length).ok());
    body.reserve(announced.unwrap_or_default().min(cap.saturating_sub(body.len())));
    while let Some(chunk) = response.chunk().await? {
        let room = cap - body.len();
        if chunk.len() > room {
            body.extend_from_slice(&chunk[..room]);
            return Ok(true);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(false)
}
