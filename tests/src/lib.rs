//! Test support: the outside world of Sentry, on this machine and under a test's control.
//!
//! Every server listens on a free port of 127.0.0.1, runs on a thread with a runtime of its own (so that plain
//! `#[test]` functions use it), keeps a log of what it was asked (the oracle of a test), can be paused and resumed
//! on the same port, and stops when it is dropped. The Kubernetes API server and the listener under all of them are
//! [`sentry_apiserver`].
//!
//! | module | what it stands for |
//! |---|---|
//! | [`repo`] | bare repositories, written by git plumbing, hostile ones included |
//! | [`gitserver`] | a git server: the real `git http-backend` |
//! | [`liar`] | a git server that says what no honest one would |
//! | [`forges`] | GitHub, GitLab and Gitea: REST API and git on one origin |
//! | [`ear`] | a listener that writes down every byte |
//! | [`proxy`] | an authenticating HTTP proxy; a TCP link that misbehaves |
//! | [`tls`] | a throw-away certificate authority |
//! | [`road`] | all of them at once: A, B, a git server, a cluster and a home |
//! | [`crew`] | agents that share a state in PostgreSQL, with a forge and a cluster |
//! | [`kept`] | a state that a release left behind, with all that it is about |
//! | [`sandbox`] | a home directory and an environment in which `sentry` runs, hermetically |
//! | [`served`], [`wire`] | an agent that serves: with all of that; asked byte for byte, and by forges |
//! | [`fuzz`] | what fuzzing tries |
//! | [`judge`] | what kubectl and git would make of what they are given |
//! | [`tally`] | what became of pushed commits, by the API server's runs |
//! | [`postgres`] | a PostgreSQL server, with a database for each test |
//! | [`processes`] | what runs on this machine |
//! | [`browser`] | chromium without a window, led by WebDriver |
//! | [`stage`] | the page and the API over answers that a test writes |
//! | [`promise`] | the promises, and what their proofs saw |
//! | [`strace`] | what a program asks the system for, and its death at one of these calls |
//! | [`http`] | what servers of HTTP are made of: the request log and the faults |

pub mod browser;
pub mod certificates;
pub mod crew;
pub mod ear;
pub mod forges;
pub mod fuzz;
pub mod gitserver;
pub mod http;
pub mod judge;
pub mod kept;
pub mod large;
pub mod liar;
pub mod postgres;
pub mod processes;
pub mod promise;
pub mod proxy;
pub mod receiver;
pub mod repo;
pub mod road;
pub mod sandbox;
pub mod served;
pub mod sshd;
pub mod stage;
pub mod strace;
pub mod tally;
pub mod tls;
pub mod wire;
