//! Where heads and trees come from: GitHub, GitLab and any git server.

pub mod credential;
pub mod http;
pub mod status;
