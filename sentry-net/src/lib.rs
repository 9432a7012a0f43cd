//! How Sentry's HTTP clients reach others: whom they trust, which proxy they take, and why they failed. Below every crate
//! that has such a client; it knows none of them.

mod authorities;
mod failure;
mod proxies;
mod trust;

use reqwest::{ClientBuilder, Url, redirect};

pub use authorities::{Authorities, AuthoritiesError};
pub use failure::Failure;
pub use proxies::{NoProxy, Proxies};

/// A client can't be set up: the system has no certificate authorities.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP client can't be set up")]
pub struct SetupError(#[source] rustls::Error);

impl SetupError {
    /// What a person can do.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        "install the system's root certificates (package ca-certificates)"
    }
}

/// A client that follows no redirect, tells nobody where it came from, trusts these authorities besides the system's and
/// takes these proxies and no other. Times are the caller's to set.
///
/// # Errors
/// [`SetupError`].
pub fn client(authorities: &Authorities, proxies: &Proxies) -> Result<ClientBuilder, SetupError> {
    let tls = trust::config(authorities).map_err(SetupError)?;
    let builder = reqwest::Client::builder()
        .redirect(redirect::Policy::none())
        .referer(false)
        .tls_backend_preconfigured(tls);
    Ok(proxies::apply(builder, proxies))
}

/// A proxy's address without its password.
#[must_use]
pub fn shown(proxy: &Url) -> String {
    let host = proxy.host_str().unwrap_or_default();
    let port = proxy.port_or_known_default().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{host}{port}", proxy.scheme())
}
