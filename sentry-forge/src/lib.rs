//! Where heads and trees come from: GitHub, GitLab, Gitea and any git server.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use sentry_core::forge::ForgePorts;
//! use sentry_core::secret::Redactor;
//! use sentry_forge::credential::Credential;
//! use sentry_forge::git::{GitForge, GitSettings, Transport, TransportSettings};
//! use sentry_forge::http::{Http, HttpSettings};
//!
//! # fn forge() -> Result<ForgePorts, Box<dyn std::error::Error>> {
//! let http = Http::new(&HttpSettings::new(Redactor::new()))?;
//! let git = GitForge::new(GitSettings {
//!     name: "git".into(),
//!     credential: Credential::Anonymous,
//!     username: "git".into(),
//!     transport: Arc::new(Transport::new(TransportSettings::within(&http))),
//!     http,
//! });
//! Ok(ForgePorts::new(Arc::new(git)))
//! # }
//! ```
//!
//! | module | what it holds |
//! |---|---|
//! | [`github`], [`gitlab`], [`gitea`] | a forge each: settings, requests and answers, the sender of its webhooks. A new one is a folder like these |
//! | [`Hosted`] | what those have in common: the ports over their APIs |
//! | [`git`] | any git server: `ls-refs` and fetches over HTTP within the process; over ssh and files by a git that can't harm |
//! | [`credential`], [`http`], [`status`] | tokens and Apps; one bounded request; what an answer's status means |
//! | [`remote`] | tasks and pipelines from elsewhere, without any credential |
//! | [`webhook`] | what a forge sends: verified, then read as a hint |
//! | [`Probed`] | what `sentry validate --online` asks of a forge |

pub mod credential;
pub mod git;
pub mod gitea;
pub mod github;
pub mod gitlab;
mod hosted;
pub mod http;
mod rate_limit;
pub mod remote;
mod rights;
mod said;
pub mod status;
#[cfg(feature = "testing")]
pub mod testing;
pub mod webhook;

pub use hosted::{Hosted, Polling, Probe};
pub use rights::{Probed, Rights};
