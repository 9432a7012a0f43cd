//! An engine inside another program that keeps sentry.yaml as its configuration: the wiring is the command line's own.

use std::error::Error;

use sentry_cli::compose::{self, Composition};
use sentry_config::Environment;
use sentry_core::engine::Stop;
use sentry_core::secret::Redactor;

#[tokio::main]
#[expect(clippy::print_stdout, reason = "an example shows what it does")]
async fn main() -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    sentry_examples::repositories(dir.path());
    let root = dir.path().display();
    let yaml = format!(
        "forges:\n  plain: {{type: git}}\nwatches:\n  - name: qa\n    on_first_sight: deliver\n    \
         source: {{forge: plain, url: 'file://{root}/a.git', branches: main}}\n    \
         manifests: {{forge: plain, url: 'file://{root}/b.git', branch: main}}\n    \
         cluster: {{namespace: qa, deployer: dry-run}}\n"
    );
    let config = sentry_config::parse(&yaml, "sentry.yaml", &Environment::from_process())?;
    let parts = Composition::new(config, compose::memory_store(), &Redactor::new())?;
    let summary = parts.engine.once(&Stop::new()).await?;
    for line in sentry_examples::lines(&summary) {
        println!("{line}");
    }
    Ok(())
}
