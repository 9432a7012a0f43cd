//! The way from files to decisions and objects, case by case.

mod cluster;
#[cfg(feature = "corpus")]
mod corpus;
mod flows;
mod git_auth;
mod objects;
mod pac;
mod patterns;
mod policy;
mod reading;
mod refs;
mod remotes;
mod startable;
mod tags;
mod values;
mod variables;

use std::collections::BTreeMap;

use super::*;
use crate::forge::{Tree, TreeFile};
use crate::ids::{DeliveryId, TriggerId};
use crate::names::ClusterRef;
use crate::repo::DirPath;
use crate::revision::Revision;
use crate::subject::{EventName, Subject};
use crate::watch::{BranchSelector, Manifests, ManifestsBranch, Source};

const SHA: &str = "1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d";

/// All that a [`Context`] borrows.
struct Scene {
    watch: Watch,
    revision: Revision,
    pull: Option<PullRequest>,
    delivery: DeliveryId,
    trigger: Option<TriggerId>,
    manifests: Revision,
    sender: Option<&'static str>,
    event: EventName,
    only: Option<&'static str>,
    changed: Option<ChangedPaths>,
    /// `None`: nothing from elsewhere is used.
    remote: Option<RemoteDocuments>,
    kinds: Option<KindTable>,
}

impl Default for Scene {
    fn default() -> Self {
        let source = Source {
            forge: "github".into(),
            repo: "https://github.com/Acme/Web.git".parse().unwrap(),
            subjects: BranchSelector::new(["main"]).unwrap().into(),
        };
        let manifests = Manifests {
            forge: "github".into(),
            repo: "https://github.com/acme/deploy".parse().unwrap(),
            branches: vec![ManifestsBranch::SourceBranch],
            dir: DirPath::default(),
        };
        let cluster = ClusterRef {
            deployer: "kubectl".into(),
            context: None,
            namespace: "qa".parse().unwrap(),
        };
        let watch = Watch {
            variables: BTreeMap::from([("env".into(), "stage".into())]),
            ..Watch::new("web".parse().unwrap(), source, manifests, cluster)
        };
        Self {
            watch,
            revision: Revision {
                subject: Subject::Branch("release/1.0".parse().unwrap()),
                sha: SHA.parse().unwrap(),
            },
            pull: None,
            delivery: "01jdq0000000000000000000aa".parse().unwrap(),
            trigger: None,
            manifests: Revision {
                subject: Subject::Branch("main".parse().unwrap()),
                sha: "b".repeat(40).parse().unwrap(),
            },
            sender: Some("ada"),
            event: EventName::new("push"),
            only: None,
            changed: None,
            remote: None,
            kinds: None,
        }
    }
}

impl Scene {
    fn context(&self) -> Context<'_> {
        Context {
            watch: &self.watch,
            revision: &self.revision,
            pull: self.pull.as_ref(),
            delivery: &self.delivery,
            again: self.trigger.as_ref().map(TriggerId::as_str),
            manifests: &self.manifests,
            sender: self.sender,
            title: "Add the shop",
            event: &self.event,
            only: self.only,
            changed: self.changed.as_ref(),
            remote: self.remote.as_ref().map_or(Remote::Off, Remote::Got),
            kinds: self.kinds.as_ref(),
        }
    }

    /// What becomes of one file `a.yaml`.
    fn prepare(&self, text: &str) -> ManifestSet {
        prepare(&parse(&tree([("a.yaml", text.as_bytes())])), &self.context())
    }

    /// What becomes of some files.
    fn files(&self, files: &[(&str, &str)]) -> ManifestSet {
        let files = files.iter().map(|(path, text)| (*path, text.as_bytes()));
        prepare(&parse(&tree(files)), &self.context())
    }
}

fn tree<'f>(files: impl IntoIterator<Item = (&'f str, &'f [u8])>) -> Tree {
    let files = files
        .into_iter()
        .map(|(path, bytes)| TreeFile { path: path.to_owned(), bytes: bytes.to_vec() })
        .collect();
    Tree { commit: SHA.parse().unwrap(), files, refused: Vec::new() }
}

fn prepared(text: &str) -> ManifestSet {
    Scene::default().prepare(text)
}

/// The first decision about one file `a.yaml`: the word, and why.
fn decided(text: &str) -> (&'static str, String) {
    let set = prepared(text);
    (set.decisions[0].decision.as_str(), set.decisions[0].reason.clone())
}

/// A ConfigMap with the given `metadata` and `data.x`.
fn config_map(metadata: &str, x: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {metadata}\ndata: {{x: {x}}}\n")
}

/// A PipelineRun with the given `metadata`.
fn run(metadata: &str) -> String {
    format!("apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata: {metadata}\nspec: {{}}\n")
}
