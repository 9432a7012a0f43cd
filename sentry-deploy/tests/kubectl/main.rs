//! The deployer with the real kubectl, against an API server in memory that can lose answers, cut watches and forget.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail their test")]
#![cfg_attr(feature = "cluster", expect(clippy::print_stderr, reason = "figures"))]

mod apply;
mod blame;
mod contract;
mod deadline;
mod diff;
mod dry_run;
mod exist;
mod follow;
mod git_auth;
mod kinds;
mod lab;
mod managers;
#[cfg(feature = "cluster")]
mod real;
mod retire;
mod role;
mod staged;
