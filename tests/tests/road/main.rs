//! The whole road with the real parts: the binary, git over HTTP with a token, kubectl, SQLite.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail their test")]

mod agents;
mod branches;
mod cancelling;
mod certificates;
mod commits;
#[cfg(feature = "corpus")]
mod corpus;
mod delivery;
#[cfg(feature = "cluster")]
mod deploy;
mod description;
mod diff;
mod elsewhere;
mod forges;
mod ground;
mod hostile;
mod native;
mod notify;
mod paths;
mod pulls;
mod queue;
mod reasons;
mod reload;
mod remote;
mod replicas;
mod secrets;
mod ssh;
mod tags;
mod upgrade;
mod verdict;
mod why;
