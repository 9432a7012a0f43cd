//! 36: what is checked is what is sent. Odd documents go the whole way to kubectl's stdin; what is there is read by
//! another reader, and what the real kubectl makes of it is seen by the API server.

mod documents;
mod fields;

use std::fmt::Write as _;

use sentry_apiserver::ApiServer;
use sentry_core::deployer::{self, Deployer};
use sentry_core::manifest::ManifestSet;
use sentry_core::plan::PlannedObject;
use sentry_core::secret::Redactor;
use sentry_deploy::{Kubectl, KubectlSettings, Native, NativeSettings};
use sentry_tests::judge::checked::Checked;
use sentry_tests::judge::json;
use sentry_tests::judge::scene::Scene;
use sentry_tests::judge::sent::Sent;
use sentry_tests::promise::{cases, kept};
use sentry_tests::road::By;

use documents::Documents;

/// Objects of one call of kubectl.
const BATCH: usize = 200;

#[test]
fn kubectl_is_given_the_very_objects_that_were_checked() {
    let checked = Checked::default();
    let mut documents = Documents::new(36);
    let number = cases(1_000_000, 4_000);
    let (mut sent, mut refused) = (0, 0);
    for case in 0..number {
        let file = documents.file();
        let set = checked.prepare(&[("a.yaml", &file)]);
        refused += set.refusals().count();
        sent += checked.send(set).unwrap_or_else(|difference| {
            panic!("case {case}: {difference}\n{}", String::from_utf8_lossy(&file))
        });
    }
    assert!(sent > number / 4 && refused > number / 4, "the documents are of both sorts");
    kept(
        36,
        "by another reader",
        &format!(
            "{number} files, {sent} objects sent, {refused} documents refused: planned, checked and sent alike, field by field"
        ),
    );
}

#[test]
fn each_deployer_sends_the_very_objects_that_were_checked() {
    let home = tempfile::tempdir().unwrap();
    let number = cases(20_000, 400);
    let sent = By::EACH.map(|by| {
        let cluster = ApiServer::start();
        let kubeconfig = Some(cluster.kubeconfig(home.path()));
        let sent = match by {
            By::Kubectl => {
                let settings = KubectlSettings::new(Redactor::new());
                let kubectl = Kubectl::new(KubectlSettings { kubeconfig, ..settings }).unwrap();
                send(&cluster, &kubectl, number)
            }
            By::Native => {
                let settings = NativeSettings::new(Redactor::new());
                send(&cluster, &Native::new(NativeSettings { kubeconfig, ..settings }), number)
            }
        };
        format!("{sent} objects by {by:?}")
    });
    kept(
        36,
        "by the real kubectl",
        &format!(
            "{}, in calls of up to {BATCH}: received as planned, field by field",
            sent.join(", ")
        ),
    );
}

/// Applies at least so many objects; how many it were.
fn send(cluster: &ApiServer, deployer: &impl Deployer, number: usize) -> usize {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let mut scene = Scene::default();
    scene.watch.cluster.context = Some("default".to_owned());
    let (mut documents, mut rng) = (Documents::new(37), fastrand::Rng::with_seed(39));
    let mut sent = 0;
    while sent < number {
        let objects = batch(&scene, &mut documents, &mut rng);
        let mut planned: Vec<Sent> =
            objects.iter().map(|object| Sent::planned(object).unwrap()).collect();
        let plan = scene.plan(ManifestSet { objects, ..ManifestSet::default() });
        let before = cluster.requests().len();
        let done = runtime.block_on(deployer.apply(&plan, &deployer::Checked::default())).unwrap();
        assert!(done.error.is_none(), "{done:?}");
        let mut received = writes(cluster, before);
        planned.sort();
        received.sort();
        assert_eq!(received, planned);
        sent += planned.len();
    }
    sent
}

#[test]
fn every_field_of_a_document_is_sent_as_it_is_written() {
    let checked = Checked::default();
    let mut rng = fastrand::Rng::with_seed(38);
    let number = cases(100_000, 1_000);
    for case in 0..number {
        let document = fields::document(&mut rng, "it");
        let set = checked.prepare(&[("a.yaml", document.to_string().as_bytes())]);
        let [planned] = set.objects.as_slice() else {
            panic!("case {case}: {document} is not sent: {:?}", set.decisions)
        };
        let difference = fields::difference(&document, &planned.json);
        assert_eq!(difference, None, "case {case}");
        assert_eq!(checked.send(set), Ok(1), "case {case}: {document}");
    }
    kept(36, "every field", &format!("{number} of Tekton's objects: each field as it is written"));
}

/// What was let through of so many files that kubectl has something to do.
fn batch(scene: &Scene, documents: &mut Documents, rng: &mut fastrand::Rng) -> Vec<PlannedObject> {
    let known = ["ConfigMap", "Secret", "Task", "Pipeline", "PipelineRun", "TaskRun"];
    // Other versions may be in B, but this cluster has none of them.
    let versions = ["v1", "tekton.dev/v1", "tekton.dev/v1beta1"];
    let mut objects = Vec::new();
    while objects.len() < BATCH {
        let whole = fields::document(rng, &format!("w{}", objects.len())).to_string();
        let files = [("a.yaml", &*documents.file()), ("b.yaml", whole.as_bytes())];
        let set = scene.prepare(&files);
        let is_served = |planned: &PlannedObject| {
            let object = &planned.object;
            known.contains(&&*object.kind) && versions.contains(&&*object.api_version)
        };
        objects.extend(set.objects.into_iter().filter(is_served));
    }
    objects
}

/// The objects of the writes since a request, by what the server was asked and where.
fn writes(cluster: &ApiServer, since: usize) -> Vec<Sent> {
    let mut seen = Vec::new();
    for request in cluster.requests().iter().skip(since).filter(|request| request.is_write()) {
        let text = |at: &str| {
            request.body.pointer(at).and_then(|v| v.as_str()).unwrap_or_default().to_owned()
        };
        let object = Sent {
            api_version: text("/apiVersion"),
            kind: text("/kind"),
            namespace: text("/metadata/namespace"),
            name: text("/metadata/name"),
            whole: json::read(request.body.to_string().as_bytes()).unwrap().plain(),
        };
        let root = if object.api_version.contains('/') { "apis" } else { "api" };
        let mut path = String::new();
        _ = write!(
            path,
            "/{root}/{}/namespaces/{}/{}s",
            object.api_version,
            object.namespace,
            object.kind.to_lowercase()
        );
        if request.method != "POST" {
            _ = write!(path, "/{}", object.name);
        }
        assert_eq!(request.path, path, "a body goes where it says");
        seen.push(object);
    }
    seen
}
