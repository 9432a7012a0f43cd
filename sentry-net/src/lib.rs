//! How Sentry's HTTP clients reach others: whom they trust, which proxy they take, and why they failed. Below every crate
//! that has such a client; it knows none of them.

mod authorities;
mod client;
mod failure;
mod proxies;
mod trust;

use reqwest::Url;

pub use authorities::{Authorities, AuthoritiesError};
pub use client::{Client, SetupError, Times, read};
pub use failure::Failure;
pub use proxies::{NoProxy, Proxies};

/// A proxy's address without its password.
#[must_use]
pub fn shown(proxy: &Url) -> String {
    let host = proxy.host_str().unwrap_or_default();
    let port = proxy.port_or_known_default().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{host}{port}", proxy.scheme())
}
