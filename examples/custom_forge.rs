//! A forge of one's own: here one whose repositories are fixed in the program.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;

use async_trait::async_trait;
use sentry_core::deployer::DeployerPorts;
use sentry_core::engine::{Engine, Stop};
use sentry_core::forge::{
    Forge, ForgeError, ForgeErrorKind, Heads, HeadsAnswer, HeadsQuery, Tree, TreeFile, TreeQuery,
};
use sentry_core::repo::CommitSha;
use sentry_core::subject::Subject;
use sentry_core::testing::fakes::FakeDeployer;
use sentry_core::watch::{OnFirstSight, sample};
use sentry_store::MemoryStore;

/// Every repository has one branch at one commit.
#[derive(Debug)]
struct Fixed {
    branch: Subject,
    head: CommitSha,
}

#[async_trait]
impl Forge for Fixed {
    fn name(&self) -> &'static str {
        "forge"
    }

    async fn heads(&self, queries: &[HeadsQuery]) -> Vec<Result<HeadsAnswer, ForgeError>> {
        let one = |query: &HeadsQuery| {
            let Subject::Branch(branch) = &self.branch;
            let selected = query.branches.matches(branch);
            let heads: BTreeMap<_, _> =
                selected.then(|| (self.branch.clone(), self.head.clone())).into_iter().collect();
            Ok(HeadsAnswer::Heads(Heads { heads, ..Heads::default() }))
        };
        queries.iter().map(one).collect()
    }

    async fn tree(&self, query: &TreeQuery) -> Result<Tree, ForgeError> {
        if query.revision.sha != self.head {
            let text = format!("there is no commit {} in {}", query.revision.sha, query.repo);
            return Err(ForgeError::new(ForgeErrorKind::NoCommit, text));
        }
        let file = TreeFile { path: "run.yaml".into(), bytes: sentry_examples::RUN.into() };
        Ok(Tree { commit: query.revision.sha.clone(), files: vec![file], refused: Vec::new() })
    }
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "an example shows what it does")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut watch = sample::watch("qa", &["main"]);
    watch.on_first_sight = OnFirstSight::Deliver;
    let forge = Fixed { branch: Subject::Branch("main".parse()?), head: "1f".repeat(20).parse()? };
    let engine = Engine::builder(Arc::new(MemoryStore::new()))
        .watch(watch)
        .forge(Arc::new(forge))
        .deployer(DeployerPorts::new("deployer", Arc::new(FakeDeployer::new())))
        .build()?;
    for line in sentry_examples::lines(&engine.once(&Stop::new()).await?) {
        println!("{line}");
    }
    Ok(())
}
