//! An engine inside another program: real git repositories, a dry-run deployer, state in memory.

use std::error::Error;
use std::sync::Arc;

use sentry_core::engine::{Engine, Stop};
use sentry_core::forge::ForgePorts;
use sentry_core::secret::Redactor;
use sentry_core::watch::{OnFirstSight, sample};
use sentry_deploy::dry_run;
use sentry_forge::credential::Credential;
use sentry_forge::git::{GitForge, GitSettings, Transport, TransportSettings};
use sentry_forge::http::{Http, HttpSettings};
use sentry_store::MemoryStore;

#[tokio::main]
#[expect(clippy::print_stdout, reason = "an example shows what it does")]
async fn main() -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    sentry_examples::repositories(dir.path());

    let settings =
        HttpSettings { proxy: None, no_proxy: None, ca_file: None, redactor: Redactor::new() };
    let forge = GitForge::new(GitSettings {
        name: "forge".into(),
        credential: Credential::Anonymous,
        username: "git".into(),
        http: Http::new(&settings)?,
        transport: Arc::new(Transport::new(TransportSettings::new(settings))),
    });

    let mut watch = sample::watch("qa", &["main"]);
    watch.source.repo = format!("file://{}/a.git", dir.path().display()).parse()?;
    watch.manifests.repo = format!("file://{}/b.git", dir.path().display()).parse()?;
    watch.on_first_sight = OnFirstSight::Deliver;

    let engine = Engine::builder(Arc::new(MemoryStore::new()))
        .watch(watch)
        .forge("forge", ForgePorts::new(Arc::new(forge)))
        .deployer("deployer", dry_run())
        .build()?;
    let summary = engine.once(&Stop::new()).await?;
    for line in sentry_examples::lines(&summary) {
        println!("{line}");
    }
    Ok(())
}
