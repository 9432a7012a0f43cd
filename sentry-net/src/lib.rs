//! How Sentry's HTTP clients reach others: whom they trust, which proxy they take, and why they failed. Below every crate
//! that has such a client, or speaks TLS as they do; it knows none of them.
//!
//! ```
//! use sentry_net::NoProxy;
//!
//! let direct = NoProxy::new("localhost,.example.com");
//! assert!(direct.covers("git.example.com"));
//! ```
//!
//! | module | what it holds |
//! |---|---|
//! | `client` | the one client: deadlines, and bodies that are read up to a bound |
//! | `authorities`, `trust` | which certificates a `ca_file` holds, and how a server is verified |
//! | `names` | which addresses a host has, without the C library |
//! | `proxies` | which proxy is asked for an address, as curl reads NO_PROXY |
//! | `failure` | why there was no answer, in one line with its remedy |

mod authorities;
mod client;
mod failure;
mod names;
mod proxies;
mod trust;

use reqwest::Url;

pub use authorities::{Authorities, AuthoritiesError};
pub use client::{Client, SetupError, Times, read};
pub use failure::Failure;
pub use names::{NameError, addresses};
pub use proxies::{NoProxy, Proxies};
pub use trust::tls;

/// A proxy's address without its password.
#[must_use]
pub fn shown(proxy: &Url) -> String {
    let host = proxy.host_str().unwrap_or_default();
    let port = proxy.port_or_known_default().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{host}{port}", proxy.scheme())
}
