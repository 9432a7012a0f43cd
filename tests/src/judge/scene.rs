//! A watch and a commit for which documents are prepared.

use sentry_core::forge::{ChangedPaths, Tree, TreeFile};
use sentry_core::ids::{DeliveryId, TriggerId};
use sentry_core::manifest::{self, Context, ManifestSet};
use sentry_core::plan::Plan;
use sentry_core::revision::Revision;
use sentry_core::subject::EventName;
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
    /// The event.
    pub event: EventName,
    /// The run that is wanted alone, if one is.
    pub only: Option<String>,
    /// Who made A's commit.
    pub sender: String,
    /// The first line of its message.
    pub title: String,
    delivery: DeliveryId,
    manifests: Revision,
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
            event: EventName::new("push"),
            only: None,
            sender: "dev".to_owned(),
            title: "a commit".to_owned(),
            delivery: sample::id(1),
            manifests: sample::revision(2),
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
        let tree = Tree { commit: self.manifests.sha.clone(), files, refused: Vec::new() };
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
            pull: None,
            delivery: &self.delivery,
            again: self.trigger.as_ref().map(TriggerId::as_str),
            manifests: &self.manifests,
            sender: Some(&self.sender),
            title: &self.title,
            event: &self.event,
            only: self.only.as_deref(),
            changed: self.changed.as_ref(),
            remote: manifest::Remote::Off,
            kinds: None,
        }
    }
}
