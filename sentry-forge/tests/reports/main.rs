//! Statuses on commits and differences of commits, against servers with the forges' request and answer shapes.

#![expect(clippy::unwrap_used, reason = "helpers of tests, outside of test functions")]

mod changes;
mod checks;
#[path = "../common/mod.rs"]
mod common;
#[cfg(feature = "descriptions")]
mod descriptions;
mod github;
mod gitlab;
mod probes;
mod support;
