//! Which watch and which branch a question means.

use std::collections::{BTreeSet, HashSet};

use sentry_core::names::WatchName;
use sentry_core::store::{Overview, OverviewQuery};
use sentry_core::subject::Subject;

use super::{Local, WatchFacts};
use crate::error::{ApiError, ErrorKind};

/// The watch and the subject that are meant, where each may be left out if there is only one.
///
/// # Errors
/// [`ErrorKind::UnknownWatch`], [`ErrorKind::UnknownBranch`], or [`ErrorKind::BadRequest`] where there is a choice; the
/// hint names what there is.
pub fn pick(
    watches: &[WatchFacts],
    watch: Option<WatchName>,
    subject: Option<Subject>,
) -> Result<(WatchName, Subject), ApiError> {
    let watch = self::watch(watches, watch)?;
    Ok((watch.name.clone(), self::subject(watch, subject)?))
}

/// The watch that is meant: the named one, or the only one.
fn watch(watches: &[WatchFacts], name: Option<WatchName>) -> Result<&WatchFacts, ApiError> {
    let names: Vec<WatchName> = watches.iter().map(|w| w.name.clone()).collect();
    match (name, watches) {
        (None, [only]) => Ok(only),
        (None, []) => Err(ApiError::new(ErrorKind::UnknownWatch, "there are no watches")),
        (None, _) => Err(ApiError::new(
            ErrorKind::Ambiguous,
            "there is more than one watch: name the one you mean",
        )
        .with_hint(format!("the watches are {}", list(&names)))),
        (Some(name), all) => {
            all.iter().find(|w| w.name == name).ok_or_else(|| unknown_watch(&name, &names))
        }
    }
}

/// The subject that is meant: the given one if it is watched, or the watch's only one.
fn subject(watch: &WatchFacts, subject: Option<Subject>) -> Result<Subject, ApiError> {
    let selector = &watch.subjects;
    let error = match (subject, selector.only()) {
        (Some(subject), _) if selector.matches(&subject) => return Ok(subject),
        (None, Some(only)) => return Ok(only),
        (Some(subject), _) => {
            let (watch, kind, name) = (&watch.name, subject.kind(), subject.name());
            let text = format!("watch {watch} does not watch {kind} {name}");
            ApiError::new(ErrorKind::UnknownBranch, text)
        }
        (None, None) => {
            let text =
                format!("watch {} has more than one branch: pick one with --branch", watch.name);
            ApiError::new(ErrorKind::Ambiguous, text)
        }
    };
    Err(error.with_hint(format!("its branches are {selector}")))
}

/// The watches of the configuration in its order, then those that only the state knows.
pub(super) fn names(local: &Local, overview: &Overview) -> Vec<WatchName> {
    let mut names = local.names();
    let mut known: HashSet<WatchName> = names.iter().cloned().collect();
    let kept = overview.watches.iter().map(|watch| &watch.watch);
    for name in kept.chain(overview.subjects.iter().map(|subject| &subject.cursors.watch)) {
        if !known.contains(name) {
            known.insert(name.clone());
            names.push(name.clone());
        }
    }
    names
}

/// The names to answer for: all of them, or the one that is asked for if it is among them.
pub(super) async fn only(
    local: &Local,
    names: Vec<WatchName>,
    wanted: Option<&WatchName>,
) -> Result<Vec<WatchName>, ApiError> {
    match wanted {
        None => Ok(names),
        Some(wanted) if names.contains(wanted) => Ok(vec![wanted.clone()]),
        Some(wanted) => {
            let all = local.store.archive.overview(&OverviewQuery::watches()).await?;
            Err(unknown_watch(wanted, &self::names(local, &all)))
        }
    }
}

pub(super) fn unknown_watch(wanted: &WatchName, names: &[WatchName]) -> ApiError {
    let error = ApiError::new(ErrorKind::UnknownWatch, format!("there is no watch {wanted}"));
    match names {
        [] => error.with_hint("there are no watches: --config and --state-dir say where"),
        names => error.with_hint(format!("the watches are {}", list(names))),
    }
}

fn list(names: &[WatchName]) -> String {
    let names: BTreeSet<&str> = names.iter().map(WatchName::as_str).collect();
    names.into_iter().collect::<Vec<_>>().join(", ")
}
