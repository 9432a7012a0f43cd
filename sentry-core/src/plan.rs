//! What a deployer is asked to do, and what it did, object by object.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::ids::DeliveryId;
use crate::names::ClusterRef;
use crate::repo::CommitSha;
use crate::secret::Secret;
use crate::watch::ForceConflicts;

/// Which document of B an object is, and what it is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectRef {
    /// The file, relative to B's directory.
    pub path: String,
    /// The document's place in its file, from 1.
    pub document: usize,
    /// The line its document starts at, from 1.
    pub line: usize,
    /// `apiVersion`.
    pub api_version: String,
    /// `kind`.
    pub kind: String,
    /// The namespace it lives in; `None` for a cluster-scoped object.
    pub namespace: Option<String>,
    /// The name it has on the cluster.
    pub name: String,
}

impl ObjectRef {
    /// What makes an object the same object on one cluster: kind, namespace, name.
    #[must_use]
    pub fn identity(&self) -> (&str, Option<&str>, &str) {
        (&self.kind, self.namespace.as_deref(), &self.name)
    }

    /// The part of a run's name that its document gave.
    #[must_use]
    pub fn base_name(&self) -> &str {
        base_name(&self.name)
    }
}

/// A run's name on the cluster without what was added to it: the commit and the key.
#[must_use]
pub fn base_name(name: &str) -> &str {
    name.rsplitn(3, '-').nth(2).unwrap_or(name)
}

/// How an object is brought to the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Server-side apply with field manager `sentry`: a repeat changes nothing.
    Apply,
    /// Create, once per key. When the name exists already, the object's annotation
    /// [`KEY_ANNOTATION`] decides: the same key means done, another one is a conflict.
    Create {
        /// The whole key that the name was derived from.
        key: String,
    },
}

/// The annotation that holds a run's whole key.
pub const KEY_ANNOTATION: &str = "sentry-gitops.dev/key";

/// The label that holds the id of the delivery which made an object.
pub const DELIVERY_LABEL: &str = "sentry-gitops.dev/delivery";

/// The label that holds the commit of A that an object was made for, in the form of [`commit_label`].
pub const COMMIT_LABEL: &str = "sentry-gitops.dev/commit";

/// A commit as a label's value, which has at most 63 characters (Kubernetes, "Labels and Selectors"): of a SHA-256 the
/// first ones.
#[must_use]
pub fn commit_label(commit: &CommitSha) -> &str {
    let text = commit.as_str();
    &text[..text.len().min(63)]
}

/// What a run's document asks for besides being run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RunRules {
    /// How many ended runs of the same document are kept (`max-keep-runs`); `None` is all.
    pub keep: Option<u32>,
    /// Whether an older run of the same watch, branch and document is cancelled (`cancel-in-progress`).
    pub cancels_older: bool,
}

/// One object of a plan. `json` is what is sent, byte for byte what was checked.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedObject {
    /// Which document it is.
    pub object: ObjectRef,
    /// How it is brought to the cluster.
    pub operation: Operation,
    /// The whole object, with name, namespace, labels and annotations set.
    pub json: Value,
    /// What its document asks for besides being run; nothing for an object that is applied.
    pub rules: RunRules,
}

impl PlannedObject {
    /// True for a run, false for an object that is applied.
    #[must_use]
    pub fn is_run(&self) -> bool {
        matches!(self.operation, Operation::Create { .. })
    }
}

/// A Secret that runs clone A with: made for them from the source forge's credential, owned by them, deleted with the
/// last.
///
/// It is no object of B's, and what it holds differs at every attempt: outcomes, history and inventory do not have it.
#[derive(Debug, Clone)]
pub struct GitAuth {
    /// Its name: the same at every attempt of the delivery.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// The object without its data.
    pub json: Value,
    /// Its data, not encoded.
    pub data: BTreeMap<String, Secret>,
    /// The runs that use it, all of its namespace. They may not exist yet, or no longer.
    pub users: Vec<ObjectRef>,
}

impl GitAuth {
    /// The whole object: for the one place that sends it, never for a message.
    #[must_use]
    pub fn object(&self) -> Value {
        let encode =
            |text: &Secret| base64::engine::general_purpose::STANDARD.encode(text.expose());
        let data = self.data.iter().map(|(key, text)| (key.clone(), encode(text).into())).collect();
        let mut object = self.json.clone();
        object["data"] = Value::Object(data);
        object
    }

    /// The object with nothing but its name and its owners, each a run as the cluster holds it. The cluster deletes it
    /// with the last of them (Kubernetes, "Garbage Collection").
    #[must_use]
    pub fn owned_by(&self, runs: &[Value]) -> Value {
        let owner = |run: &Value| {
            json!({
                "apiVersion": run["apiVersion"], "kind": run["kind"],
                "name": run["metadata"]["name"], "uid": run["metadata"]["uid"],
            })
        };
        let owners: Vec<Value> = runs.iter().map(owner).collect();
        json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": self.name, "namespace": self.namespace, "ownerReferences": owners},
        })
    }
}

/// All of a delivery, checked and in order.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The delivery.
    pub delivery: DeliveryId,
    /// Where to.
    pub cluster: ClusterRef,
    /// What to do about fields that another field manager owns.
    pub force_conflicts: ForceConflicts,
    /// In the order they must be written.
    pub objects: Vec<PlannedObject>,
    /// What runs clone A with: written before them, and then given to those that are there.
    pub git_auth: Vec<GitAuth>,
    /// What is left of the delivery's time for checking or applying it.
    pub timeout: Duration,
}

impl Plan {
    /// Takes objects out, and of what is lent to runs what only they use.
    pub fn leave_out(&mut self, objects: &[&ObjectRef]) {
        self.objects.retain(|planned| !objects.contains(&&planned.object));
        for lent in &mut self.git_auth {
            lent.users.retain(|user| !objects.contains(&user));
        }
        self.git_auth.retain(|lent| !lent.users.is_empty());
    }

    /// sha256 over operation and content of every object in order, in hex. Credentials that are lent to runs are not in
    /// it: each attempt has its own.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        for planned in &self.objects {
            let operation = match &planned.operation {
                Operation::Apply => "apply",
                Operation::Create { key } => key,
            };
            hash.update(operation.as_bytes());
            hash.update([0]);
            hash.update(planned.json.to_string().as_bytes());
            hash.update([0]);
        }
        data_encoding::HEXLOWER.encode(&hash.finalize())
    }
}

crate::closed_list! {
    /// What became of one object.
    pub enum Action {
        /// It was made.
        Created = "created",
        /// It existed and was changed.
        Configured = "configured",
        /// It existed and was right.
        Unchanged = "unchanged",
        /// A run that an earlier attempt had made: not made again.
        Exists = "exists",
        /// Not sent: an earlier object failed or the document was left out.
        Skipped = "skipped",
        /// A run that is not sent yet: the namespace has as many active runs as it may.
        Queued = "queued",
        /// The cluster refused it, or did not answer.
        Failed = "failed",
    }
}

impl Action {
    /// True if the cluster has acknowledged the object.
    #[must_use]
    pub fn is_acknowledged(self) -> bool {
        matches!(self, Self::Created | Self::Configured | Self::Unchanged | Self::Exists)
    }
}

/// One object and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectOutcome {
    /// Which object.
    pub object: ObjectRef,
    /// True for a run, false for an object that is applied.
    pub run: bool,
    /// What became of it.
    pub action: Action,
    /// Why, where that needs saying; without secrets.
    pub reason: Option<String>,
}

/// What a deployer did, object by object, in the plan's order.
#[derive(Debug, Clone)]
pub struct ChangeSet {
    /// One outcome per planned object.
    pub objects: Vec<ObjectOutcome>,
    /// What stopped it, where not every object was acknowledged: says whether it counts as a failure.
    pub error: Option<crate::deployer::DeployError>,
}

impl ChangeSet {
    /// True if the cluster has acknowledged every object.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.error.is_none() && self.objects.iter().all(|o| o.action.is_acknowledged())
    }

    /// How many objects the cluster has acknowledged.
    #[must_use]
    pub fn acknowledged(&self) -> usize {
        self.objects.iter().filter(|o| o.action.is_acknowledged()).count()
    }
}
