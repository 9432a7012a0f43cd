//! What Sentry answers: the versioned JSON of its command line and its HTTP API, and what fills it.
//!
//! [`Answers`] is the interface: the command line asks it and prints, an HTTP server asks it and sends. [`Local`] answers
//! from a [`sentry_core::store::State`]; a client of the HTTP API answers with what the server said. Both give the
//! same [`shape`]s, so that a person sees the same from a laptop as in the pod.
//!
//! ```no_run
//! use sentry_api::query::HistoryQuery;
//! use sentry_api::{Answers, ApiError, Local};
//!
//! # async fn newest(state: sentry_core::store::State) -> Result<(), ApiError> {
//! let answers = Local::new(state, Vec::new());
//! let newest = answers.history(&HistoryQuery::default()).await?;
//! println!("{} deliveries", newest.deliveries.len());
//! # Ok(())
//! # }
//! ```
//!
//! | module | what it holds |
//! |---|---|
//! | [`shape`] | the JSON of requests and answers |
//! | [`words`] | the words of its closed lists |
//! | [`text`] | how times and numbers are shown to people |
//! | [`query`] | the query parameters |
//! | [`openapi`] | how the HTTP API describes itself |

mod answers;
mod error;
mod local;
pub mod openapi;
pub mod query;
pub mod shape;
pub mod text;
pub mod words;

pub use answers::{Answers, Asker};
pub use error::{ApiError, ErrorBody, ErrorKind, ErrorShape};
pub use local::{Local, WatchFacts, pick};

/// The version of all shapes. A change that could break a reader makes it 2.
pub const VERSION: u32 = 1;
