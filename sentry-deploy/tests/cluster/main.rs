//! Deployers against an API server in memory that can lose answers, cut watches and forget. What is in `each` holds for
//! each of them.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail their test")]
#![expect(clippy::duplicate_mod, reason = "what is in `each` runs for each deployer")]
#![cfg_attr(feature = "cluster", expect(clippy::print_stderr, reason = "figures"))]

#[cfg(feature = "cluster")]
mod door;
mod dry_run;
mod kubectl;
mod lab;
mod native;
