//! The one door to the person when something goes wrong: kind of error → `error:`, `caused by:`, `hint:`, exit code.

use std::fmt::Write as _;
use std::process::ExitCode;

use sentry_api::ApiError;
use sentry_config::LoadError;
use sentry_core::deployer::DeployError;
use sentry_core::engine::EngineError;
use sentry_core::error::{self, Error};
use sentry_core::forge::ForgeError;
use sentry_core::store::StoreError;

use crate::compose::{ComposeError, StateError};

/// How the program ends. The numbers are a contract: scripts depend on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// All was done.
    Done = 0,
    /// A delivery failed, or a check found something.
    Failed = 1,
    /// The command line, the configuration or the state can't be used as it is.
    Usage = 2,
    /// A forge, git server or cluster can't be reached or refuses us.
    Unreachable = 3,
    /// Another agent holds the state.
    Held = 4,
    /// A person aborted it.
    Aborted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command did not do what was asked, with what a person can do about it.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Failure(Error<Exit>);

impl Failure {
    /// A failure with its text.
    #[must_use]
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self(Error::new(exit, message))
    }

    /// A wrong command line, configuration or state.
    #[must_use]
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
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

    /// What a person can do, where that is known.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.0.hint()
    }

    /// The exit code.
    #[must_use]
    pub fn exit(&self) -> Exit {
        self.0.kind()
    }

    /// What is shown: the error, its causes without repeats, the hint.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = format!("error: {}", error::clauses(self).join("\ncaused by: "));
        if let Some(hint) = self.0.hint() {
            write!(text, "\nhint: {hint}").ok();
        }
        text
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        let exit = match error.kind().exit_code() {
            1 => Exit::Failed,
            3 => Exit::Unreachable,
            4 => Exit::Held,
            130 => Exit::Aborted,
            _ => Exit::Usage,
        };
        Self(Error::from(error).of_kind(exit))
    }
}

/// Errors that the server of another command would send: each kind has its exit code in one place.
macro_rules! as_answered {
    ($($error:ty),+) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                ApiError::from(error).into()
            }
        })+
    };
}

as_answered!(StoreError, ForgeError, DeployError, EngineError);

impl From<ComposeError> for Failure {
    fn from(error: ComposeError) -> Self {
        let hint = match &error {
            ComposeError::Forge { source, .. } => source.hint(),
            ComposeError::Deployer { source, .. } => source.hint(),
            ComposeError::Receiver { source, .. } => source.hint(),
            ComposeError::State { source } => {
                source.downcast_ref::<StoreError>().and_then(StoreError::hint)
            }
            ComposeError::Engine(_) => None,
        };
        let hint = hint.map(str::to_owned);
        let message = error.to_string();
        Self(Error::new(Exit::Usage, message).with_optional_hint(hint).with_source(error))
    }
}

impl From<StateError> for Failure {
    fn from(error: StateError) -> Self {
        match error {
            StateError::Compose(error) => error.into(),
            StateError::Store(error) => error.into(),
            StateError::None(_) => Self::usage(error.to_string())
                .with_hint("name the state directory that an agent used, or `postgres`"),
            StateError::Copy(_) => Self::usage(error.to_string())
                .with_source(error)
                .with_hint("the old state is as it was; copy to a place where no state is"),
        }
    }
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Problems(problems) => {
                let all: Vec<String> = problems.iter().map(ToString::to_string).collect();
                Self::usage(all.join("\nerror: "))
            }
            other => Self::usage(other.to_string()).with_source(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use sentry_core::deployer::DeployErrorKind;
    use sentry_core::forge::ForgeErrorKind;
    use sentry_core::store::StoreErrorKind;

    use super::*;

    #[test]
    fn every_cause_is_said_once_and_the_hint_comes_last() {
        let disk = std::io::Error::other("no space left on device");
        let store = StoreError::new(StoreErrorKind::Unavailable, "can't write /state/sentry.db")
            .with_source(disk);
        let failure = Failure::from(store).with_hint("free some space");
        insta::assert_snapshot!(failure.render(), @r"
        error: can't write /state/sentry.db
        caused by: no space left on device
        hint: free some space
        ");
        assert_eq!(failure.exit(), Exit::Usage);
    }

    #[test]
    fn each_kind_of_error_has_its_documented_code() {
        let store = |kind| Failure::from(StoreError::new(kind, "x")).exit();
        assert_eq!(store(StoreErrorKind::Held), Exit::Held);
        assert_eq!(store(StoreErrorKind::Corrupt), Exit::Usage);
        let forge = |kind| Failure::from(ForgeError::new(kind, "x")).exit();
        for kind in [
            ForgeErrorKind::Unreachable,
            ForgeErrorKind::RateLimited,
            ForgeErrorKind::Unauthorized,
            ForgeErrorKind::NotFound,
            ForgeErrorKind::WrongAnswer,
        ] {
            assert_eq!(forge(kind), Exit::Unreachable, "{kind:?}");
        }
        assert_eq!(forge(ForgeErrorKind::TooLarge), Exit::Failed);
        assert_eq!(forge(ForgeErrorKind::OutOfMemory), Exit::Failed);
        assert_eq!(forge(ForgeErrorKind::NoCommit), Exit::Failed);
        assert_eq!(forge(ForgeErrorKind::NoDirectory), Exit::Failed);
        assert_eq!(forge(ForgeErrorKind::Local), Exit::Usage);
        let deploy = |kind| Failure::from(DeployError::new(kind, "x")).exit();
        assert_eq!(deploy(DeployErrorKind::Unreachable), Exit::Unreachable);
        assert_eq!(deploy(DeployErrorKind::Refused), Exit::Failed);
        assert_eq!(Exit::Aborted as u8, 130);
    }
}
