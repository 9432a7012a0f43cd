//! An engine inside another program: real git repositories, a dry-run deployer, state in memory.

use std::error::Error;
use std::sync::Arc;

use sentry_core::engine::{Engine, Stop};
use sentry_deploy::dry_run;
use sentry_store::MemoryStore;

#[tokio::main]
#[expect(clippy::print_stdout, reason = "an example shows what it does")]
async fn main() -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    sentry_examples::repositories(dir.path());
    let engine = Engine::builder(Arc::new(MemoryStore::new()))
        .watch(sentry_examples::watch(dir.path())?)
        .forge("forge", sentry_examples::git()?)
        .deployer("deployer", dry_run())
        .build()?;
    let summary = engine.once(&Stop::new()).await?;
    for line in sentry_examples::lines(&summary) {
        println!("{line}");
    }
    Ok(())
}
