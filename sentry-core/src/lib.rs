//! The domain and the engine of Sentry: what an embedding program uses.

pub mod change;
pub mod clock;
pub mod closed_list;
pub mod cursor;
pub mod delivery;
pub mod deployer;
pub mod engine;
pub mod event;
pub mod forge;
pub mod ids;
pub mod manifest;
pub mod names;
pub mod notifier;
pub mod plan;
pub mod repo;
pub mod retry;
pub mod revision;
pub mod secret;
pub mod store;
pub mod subject;
pub mod subscription;
#[cfg(feature = "testing")]
pub mod testing;
pub mod text;
pub mod watch;

/// An error and its causes as one text: `what failed: why: why that`.
#[must_use]
pub fn error_text(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// An error and its causes as one text, with what a person can do, where there is something: for every place where an error
/// is kept or shown.
#[must_use]
pub fn told(error: &dyn std::error::Error, hint: Option<&str>) -> String {
    let text = error_text(error);
    match hint {
        Some(hint) => format!("{text}; {hint}"),
        None => text,
    }
}
