//! Notifiers that report how deliveries end: generic webhooks with CloudEvents, Slack, Mattermost.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use sentry_core::clock::SystemClock;
//! use sentry_core::secret::{Redactor, SecretSource};
//! use sentry_notify::{Kind, Receiver, Settings};
//!
//! # fn receiver() -> Result<Receiver, Box<dyn std::error::Error>> {
//! Ok(Receiver::new(Settings {
//!     name: "team".into(),
//!     kind: Kind::Slack,
//!     url: SecretSource::File("/run/secrets/slack-url".into()),
//!     secret: None,
//!     template: None,
//!     ca_file: None,
//!     clock: Arc::new(SystemClock),
//!     redactor: Redactor::new(),
//! })?)
//! # }
//! ```
//!
//! | module | what it holds |
//! |---|---|
//! | `receiver` | the notifier: address, text, body, answer |
//! | `template` | what a person reads, with every value escaped for where it is shown |
//! | `webhook` | the CloudEvents envelope and its signature |
//! | `chat` | what Slack and Mattermost take |
//! | `http` | one bounded request, and what its answer means |

mod chat;
mod fields;
mod http;
mod receiver;
mod template;
mod webhook;

pub use receiver::{Kind, Receiver, Settings};
