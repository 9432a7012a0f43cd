//! `sentry version`: which build this is, and what it can talk to.

use sentry_config::{DeployerWord, ForgeKind, ReceiverKind};
use sentry_core::closed_list::ClosedList;
use serde::Serialize;

use super::Context;
use crate::args::OutputArg;
use crate::exit::{Exit, Failure};
use crate::json::VERSION;

/// `version -o json`.
#[derive(Debug, Serialize)]
struct Version {
    version: u32,
    release: &'static str,
    /// `null` for a build that is no release.
    commit: Option<&'static str>,
    date: Option<&'static str>,
    features: Features,
}

#[derive(Debug, Serialize)]
struct Features {
    forges: Vec<&'static str>,
    deployers: Vec<&'static str>,
    receivers: Vec<&'static str>,
}

pub(crate) fn run(ctx: &Context, output: OutputArg) -> Result<Exit, Failure> {
    let version = Version {
        version: VERSION,
        release: env!("CARGO_PKG_VERSION"),
        commit: option_env!("SENTRY_COMMIT"),
        date: option_env!("SENTRY_COMMIT_DATE"),
        features: Features {
            forges: words::<ForgeKind>(),
            deployers: words::<DeployerWord>(),
            receivers: words::<ReceiverKind>(),
        },
    };
    let name = |version: &Version| vec![format!("sentry {}", version.release)];
    ctx.ui.answer(output, &version, name, |version| show(ctx, version))?;
    Ok(Exit::Done)
}

fn show(ctx: &Context, version: &Version) {
    let Version { release, commit, date, features, .. } = version;
    ctx.ui.line(format!("sentry {release}"));
    ctx.ui.line(format!("commit     {}", commit.unwrap_or("unknown: not a release build")));
    if let Some(date) = date {
        ctx.ui.line(format!("date       {date}"));
    }
    ctx.ui.line(format!("forges     {}", features.forges.join(", ")));
    ctx.ui.line(format!("deployers  {}", features.deployers.join(", ")));
    ctx.ui.line(format!("receivers  {}", features.receivers.join(", ")));
}

fn words<T: ClosedList>() -> Vec<&'static str> {
    T::all().map(T::as_str).collect()
}
