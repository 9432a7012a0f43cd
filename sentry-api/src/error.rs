//! Why there is no answer: one type for the store, the engine and the network, with its HTTP status and exit code.

use std::ops::Deref;

use schemars::JsonSchema;
use sentry_core::deployer::{DeployError, DeployErrorKind};
use sentry_core::engine::EngineError;
use sentry_core::error::{self, Error};
use sentry_core::forge::{ForgeError, ForgeErrorKind};
use sentry_core::store::{StoreError, StoreErrorKind};
use serde::{Deserialize, Serialize};

use crate::VERSION;
use crate::words::Word;

sentry_core::closed_list! {
    /// What kind of error it is. Only [`Word::may_pass`] says that asking again can help.
    pub enum ErrorKind {
        /// The request is invalid: a text that is not a commit.
        BadRequest = "bad_request",
        /// There is no such watch.
        UnknownWatch = "unknown_watch",
        /// There is no such branch, or the watch does not watch it.
        UnknownBranch = "unknown_branch",
        /// There is no such delivery.
        UnknownDelivery = "unknown_delivery",
        /// There is no such trigger.
        UnknownTrigger = "unknown_trigger",
        /// There is nothing at this address: it is another program, or a Sentry without this route.
        NotFound = "not_found",
        /// The request is ambiguous: several ids with this prefix, several branches to choose from.
        Ambiguous = "ambiguous",
        /// The current state does not allow it: only a failed delivery can be retried.
        Conflict = "conflict",
        /// Another agent holds the state.
        Held = "held",
        /// There is no valid token.
        Unauthorized = "unauthorized",
        /// The token may not do this.
        Forbidden = "forbidden",
        /// Too many requests, or a request that is too large.
        TooMuch = "too_much",
        /// The state can't be used now, or needs a person's attention.
        State = "state",
        /// The server, a forge or the cluster can't be reached, does not answer, or refuses us.
        Unreachable = "unreachable",
        /// The request is valid but can't be delivered: too large, or the cluster refuses it.
        Rejected = "rejected",
        /// The answering side is not set up for it: a file or program is missing there.
        Setup = "setup",
        /// It was stopped before it had an answer.
        Interrupted = "interrupted",
    }
}

impl Word<ErrorKind> {
    /// The HTTP status that says it.
    #[must_use]
    pub fn http_status(self) -> u16 {
        use ErrorKind as E;
        let Self::Known(kind) = self else { return 500 };
        match kind {
            E::BadRequest => 400,
            E::Unauthorized => 401,
            E::Forbidden => 403,
            E::UnknownWatch
            | E::UnknownBranch
            | E::UnknownDelivery
            | E::UnknownTrigger
            | E::NotFound => 404,
            E::Ambiguous | E::Conflict | E::Held => 409,
            E::Rejected => 422,
            E::TooMuch => 429,
            E::Unreachable => 502,
            E::State | E::Interrupted => 503,
            E::Setup => 500,
        }
    }

    /// The exit code of a command that gets it, as docs/cli.md lists them.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        use ErrorKind as E;
        let Self::Known(kind) = self else { return 3 };
        match kind {
            E::Rejected => 1,
            E::Unreachable | E::Unauthorized | E::Forbidden | E::TooMuch | E::NotFound => 3,
            E::Held => 4,
            E::Interrupted => 130,
            E::BadRequest
            | E::UnknownWatch
            | E::UnknownBranch
            | E::UnknownDelivery
            | E::UnknownTrigger
            | E::Ambiguous
            | E::Conflict
            | E::State
            | E::Setup => 2,
        }
    }

    /// True if the same request may succeed later without anyone doing anything.
    #[must_use]
    pub fn may_pass(self) -> bool {
        use ErrorKind::{Interrupted, State, TooMuch, Unreachable};
        matches!(self, Self::Known(TooMuch | State | Unreachable | Interrupted))
    }
}

/// Why there is no answer. The text names the thing and the place, the hint what a person can do. Neither contains a secret.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct ApiError(Error<Word<ErrorKind>>);

impl ApiError {
    /// An error with its text.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Error::new(kind.into(), message))
    }

    /// A question that can't be meant.
    #[must_use]
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::BadRequest, message)
    }

    /// With what a person can do.
    #[must_use]
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        Self(self.0.with_hint(hint))
    }

    /// With the cause.
    #[must_use]
    pub fn with_source(self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self(self.0.with_source(source))
    }

    /// What is sent over HTTP, with the causes in the text.
    #[must_use]
    pub fn body(&self) -> ErrorBody {
        let (message, hint) = (error::text(self), self.hint().map(str::to_owned));
        ErrorBody { version: VERSION, error: ErrorShape { kind: self.kind(), message, hint } }
    }

    /// With what was tried as the message, and the message it had as its cause.
    fn after(self, what: String) -> Self {
        let hint = self.hint().map(str::to_owned);
        Self(Error::new(self.kind(), what).with_optional_hint(hint).with_source(self))
    }
}

impl Deref for ApiError {
    type Target = Error<Word<ErrorKind>>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl From<ApiError> for Error<Word<ErrorKind>> {
    fn from(error: ApiError) -> Self {
        error.0
    }
}

impl From<Error<ErrorKind>> for ApiError {
    fn from(error: Error<ErrorKind>) -> Self {
        let kind = error.kind().into();
        Self(error.of_kind(kind))
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Self::from(match error.kind() {
            StoreErrorKind::Held => error
                .of_kind(ErrorKind::Held)
                .with_hint("stop that agent, or give this one its own --state-dir"),
            StoreErrorKind::Newer => error
                .of_kind(ErrorKind::State)
                .with_hint("use the newer sentry, or a different --state-dir"),
            _ => error.of_kind(ErrorKind::State),
        })
    }
}

impl From<ForgeError> for ApiError {
    fn from(error: ForgeError) -> Self {
        let kind = match error.kind() {
            ForgeErrorKind::TooLarge
            | ForgeErrorKind::OutOfMemory
            | ForgeErrorKind::NoCommit
            | ForgeErrorKind::NoDirectory => ErrorKind::Rejected,
            ForgeErrorKind::Unsupported | ForgeErrorKind::Local => ErrorKind::Setup,
            _ => ErrorKind::Unreachable,
        };
        error.of_kind(kind).into()
    }
}

impl From<DeployError> for ApiError {
    fn from(error: DeployError) -> Self {
        let kind = match error.kind() {
            DeployErrorKind::Unreachable
            | DeployErrorKind::Unavailable
            | DeployErrorKind::Unauthorized
            | DeployErrorKind::Forbidden => ErrorKind::Unreachable,
            DeployErrorKind::Local => ErrorKind::Setup,
            DeployErrorKind::Interrupted => ErrorKind::Interrupted,
            _ => ErrorKind::Rejected,
        };
        error.of_kind(kind).into()
    }
}

impl From<EngineError> for ApiError {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Store(store) => store.into(),
            EngineError::Forge { what, source } => Self::from(source).after(what),
            EngineError::Deploy { what, source } => Self::from(source).after(what),
            EngineError::Stopped => Self::new(ErrorKind::Interrupted, error.to_string()),
            other => Self::new(ErrorKind::UnknownBranch, other.to_string()),
        }
    }
}

/// The body of every HTTP answer that is an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorBody {
    /// [`VERSION`].
    pub version: u32,
    /// The error.
    pub error: ErrorShape,
}

/// An error as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorShape {
    /// What kind of error it is.
    pub kind: Word<ErrorKind>,
    /// What failed, with its causes.
    pub message: String,
    /// What a person can do, if anything.
    #[serde(default)]
    pub hint: Option<String>,
}

impl From<ErrorShape> for ApiError {
    fn from(shape: ErrorShape) -> Self {
        Self(Error::new(shape.kind, shape.message).with_optional_hint(shape.hint))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_crosses_the_wire_with_its_causes_its_hint_and_its_codes() {
        let source = ForgeError::new(ForgeErrorKind::Unreachable, "hub does not answer")
            .with_hint("is it up?");
        let error = EngineError::Forge { what: "can't read branch main".into(), source };
        let json = serde_json::to_string(&ApiError::from(error).body()).unwrap();
        let back: ErrorBody = serde_json::from_str(&json).unwrap();
        let back = ApiError::from(back.error);
        assert_eq!(back.to_string(), "can't read branch main: hub does not answer");
        assert_eq!((back.kind(), back.hint()), (ErrorKind::Unreachable.into(), Some("is it up?")));
        assert_eq!((back.kind().http_status(), back.kind().exit_code()), (502, 3));
        assert!(back.kind().may_pass());
    }

    #[test]
    fn a_kind_of_a_newer_server_is_an_error_all_the_same() {
        let json = r#"{"version":1,"error":{"kind":"on_strike","message":"no"}}"#;
        let body: ErrorBody = serde_json::from_str(json).unwrap();
        assert_eq!((body.error.kind, body.error.hint), (Word::Unknown, None));
    }

    #[test]
    fn a_full_disk_is_no_wrong_question() {
        let error = StoreError::new(StoreErrorKind::Unavailable, "can't write state.db");
        let kind = ApiError::from(error).kind();
        assert_eq!((kind.http_status(), kind.exit_code()), (503, 2));
    }
}
