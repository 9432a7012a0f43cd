//! A forge of one's own: here one whose repositories are fixed in the program.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;

use async_trait::async_trait;
use sentry_core::engine::{Engine, Stop};
use sentry_core::forge::{
    Base, ChangedPaths, ChangesQuery, CloneCredential, CommitInfo, ForgeError, ForgeErrorKind,
    ForgePorts, HeadList, Heads, HeadsAnswer, HeadsQuery, Source, Tree, TreeFile, TreeQuery,
};
use sentry_core::repo::{CommitSha, RepoUrl};
use sentry_core::revision::Revision;
use sentry_core::subject::Subject;
use sentry_deploy::dry_run;
use sentry_store::MemoryStore;

/// Every repository has one branch at one commit.
#[derive(Debug)]
struct Fixed {
    branch: Subject,
    head: CommitSha,
}

impl Fixed {
    fn find(&self, repo: &RepoUrl, sha: &CommitSha) -> Result<(), ForgeError> {
        let text = || format!("there is no commit {sha} in {repo}");
        let is_there = *sha == self.head;
        is_there.then_some(()).ok_or_else(|| ForgeError::new(ForgeErrorKind::NoCommit, text()))
    }
}

#[async_trait]
impl Heads for Fixed {
    async fn heads(&self, queries: &[HeadsQuery]) -> Vec<Result<HeadsAnswer, ForgeError>> {
        let one = |query: &HeadsQuery| {
            let selected = query.subjects.matches(&self.branch);
            let heads: BTreeMap<_, _> =
                selected.then(|| (self.branch.clone(), self.head.clone())).into_iter().collect();
            Ok(HeadsAnswer::Heads(HeadList { heads, ..HeadList::default() }))
        };
        queries.iter().map(one).collect()
    }
}

/// No statuses are shown: it has no `Reporter`.
#[async_trait]
impl Source for Fixed {
    async fn tree(&self, query: &TreeQuery) -> Result<Tree, ForgeError> {
        self.find(&query.repo, &query.revision.sha)?;
        let file = TreeFile { path: "run.yaml".into(), bytes: sentry_examples::RUN.into() };
        Ok(Tree { commit: query.revision.sha.clone(), files: vec![file], refused: Vec::new() })
    }

    async fn commit(&self, repo: &RepoUrl, revision: &Revision) -> Result<CommitInfo, ForgeError> {
        self.find(repo, &revision.sha)?;
        Ok(CommitInfo { message: "All there is".into(), author: "ada".into(), committed: None })
    }

    /// There is one commit: nothing to compare it with but itself.
    async fn changes(&self, query: &ChangesQuery) -> Result<ChangedPaths, ForgeError> {
        self.find(&query.repo, &query.to.sha)?;
        let Base::Commit(from) = &query.from else {
            let text = "it has no branches that could part";
            return Err(ForgeError::new(ForgeErrorKind::Unsupported, text));
        };
        self.find(&query.repo, from)?;
        Ok(ChangedPaths::default())
    }

    async fn clone_credential(&self, _: &RepoUrl) -> Result<Option<CloneCredential>, ForgeError> {
        Ok(None)
    }
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "an example shows what it does")]
async fn main() -> Result<(), Box<dyn Error>> {
    let forge = Fixed { branch: Subject::Branch("main".parse()?), head: "1f".repeat(20).parse()? };
    let engine = Engine::builder(Arc::new(MemoryStore::new()))
        .watch(sentry_examples::watch("/srv".as_ref())?)
        .forge("forge", ForgePorts::new(Arc::new(forge)))
        .deployer("deployer", dry_run())
        .build()?;
    for line in sentry_examples::lines(&engine.once(&Stop::new()).await?) {
        println!("{line}");
    }
    Ok(())
}
