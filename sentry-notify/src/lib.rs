//! Who is told how deliveries end: generic webhooks with CloudEvents, Slack, Mattermost.
//!
//! | room | what it answers |
//! |---|---|
//! | `receiver` | the notifier: address, text, body, answer |
//! | `template` | what a person reads, with every value escaped for where it is shown |
//! | `webhook` | the CloudEvents envelope and its signature |
//! | `chat` | what Slack and Mattermost take |
//! | `http` | one bounded request, and what its answer means |

mod chat;
mod facts;
mod http;
mod receiver;
mod template;
mod webhook;

pub use receiver::{Kind, Receiver, Settings};
