//! Where heads and trees come from: GitHub, GitLab, Gitea and any git server.

pub mod credential;
mod gate;
pub mod git;
pub mod gitea;
pub mod github;
pub mod gitlab;
mod hosted;
pub mod http;
mod rights;
mod said;
pub mod status;
#[cfg(feature = "testing")]
pub mod testing;
pub mod webhook;

pub use hosted::{Hosted, Polling, Probe};
pub use rights::{Probed, Rights};
