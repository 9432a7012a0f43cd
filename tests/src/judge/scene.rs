//! A watch and a commit for which documents are prepared.

use sentry_core::delivery::Selection;
use sentry_core::forge::{ChangedPaths, Tree, TreeFile};
use sentry_core::ids::{DeliveryId, TriggerId};
use sentry_core::manifest::{self, Context, ManifestSet};
use sentry_core::plan::Plan;
use sentry_core::repo::{BranchName, CommitSha};
use sentry_core::revision::Revision;
use sentry_core::testing::sample;
use sentry_core::watch::Watch;

/// All that a [`Context`] borrows: a push to `main`, everything selected.
#[derive(Debug)]
pub struct Scene {
    /// The watch: namespace `qa`, kinds of namespaces only, no references to others.
    pub watch: Watch,
    /// A's branch and commit.
    pub revision: Revision,
    /// A trigger, if one asked.
    pub trigger: Option<TriggerId>,
    /// What changed in A.
    pub changed: Option<ChangedPaths>,
    /// Which runs are wanted.
    pub selection: Selection,
    /// Who made A's commit.
    pub sender: String,
    /// The first line of its message.
    pub title: String,
    delivery: DeliveryId,
    branch: BranchName,
    commit: CommitSha,
}

impl Default for Scene {
    fn default() -> Self {
        let mut watch = sentry_core::watch::sample::watch("app", &["main"]);
        // What a run refers to is another matter: here it keeps nothing from being sent.
        watch.reading.allow_missing_refs = true;
        Self {
            watch,
            revision: sample::revision(1),
            trigger: None,
            changed: None,
            selection: Selection::default(),
            sender: "dev".to_owned(),
            title: "a commit".to_owned(),
            delivery: sample::id(1),
            branch: sample::branch("main"),
            commit: sample::sha(2),
        }
    }
}

impl Scene {
    /// What becomes of these files, each a path and its bytes.
    pub fn prepare(&self, files: &[(&str, &[u8])]) -> ManifestSet {
        let file = |(path, bytes): &(&str, &[u8])| TreeFile {
            path: (*path).to_owned(),
            bytes: bytes.to_vec(),
        };
        let files = files.iter().map(file).collect();
        let tree = Tree { commit: self.commit.clone(), files, refused: Vec::new() };
        manifest::prepare(&manifest::parse(&tree), &self.context())
    }

    /// A plan of what was let through.
    pub fn plan(&self, set: ManifestSet) -> Plan {
        Plan {
            delivery: self.delivery.clone(),
            cluster: self.watch.cluster.clone(),
            force_conflicts: self.watch.force_conflicts,
            objects: set.objects,
            git_auth: Vec::new(),
            timeout: std::time::Duration::from_secs(60),
        }
    }

    fn context(&self) -> Context<'_> {
        Context {
            watch: &self.watch,
            revision: &self.revision,
            delivery: &self.delivery,
            trigger: self.trigger.as_ref(),
            manifests_branch: &self.branch,
            manifests: &self.commit,
            sender: Some(&self.sender),
            title: &self.title,
            selection: &self.selection,
            changed: self.changed.as_ref(),
            kinds: None,
        }
    }
}
