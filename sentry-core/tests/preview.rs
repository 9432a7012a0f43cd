//! What a delivery would do and change, asked without writing anything.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail their test")]

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use sentry_core::delivery::Selection;
use sentry_core::deployer::{
    Cluster, DeployError, DeployErrorKind, DeployerPorts, KindTable, KindsQuery, ObjectDiff, Probe,
};
use sentry_core::engine::{Engine, EngineError};
use sentry_core::forge::ForgePorts;
use sentry_core::names::ClusterRef;
use sentry_core::plan::{Action, Plan};
use sentry_core::subject::EventName;
use sentry_core::testing::fakes::{FakeDeployer, FakeForge};
use sentry_core::testing::sample;
use sentry_core::watch::sample::watch;
use sentry_store::MemoryStore;

const A: &str = "https://example.com/product/app";
const B: &str = "https://example.com/qa/tests";
const TASK: &str =
    "apiVersion: tekton.dev/v1\nkind: Task\nmetadata: {name: unit}\nspec: {steps: []}\n";

/// A cluster that holds every object of a plan already.
#[derive(Debug, Default)]
struct Mirror {
    away: bool,
}

#[async_trait]
impl Cluster for Mirror {
    async fn kinds(
        &self,
        _: &ClusterRef,
        _: &KindsQuery,
    ) -> Result<Option<Arc<KindTable>>, DeployError> {
        Ok(None)
    }

    async fn exist(
        &self,
        _: &ClusterRef,
        _: &[(String, String, String)],
    ) -> Result<Option<BTreeSet<(String, String)>>, DeployError> {
        Ok(Some([("Task".to_owned(), "there".to_owned())].into()))
    }

    async fn diff(&self, plan: &Plan) -> Result<Vec<ObjectDiff>, DeployError> {
        if self.away {
            return Err(DeployError::new(DeployErrorKind::Unreachable, "no route to test"));
        }
        let text = "kind: Task\nmetadata:\n  name: unit\n".to_owned();
        let diff = |planned: &sentry_core::plan::PlannedObject| ObjectDiff {
            object: planned.object.clone(),
            action: Action::Unchanged,
            before: Some(text.clone()),
            after: text.clone(),
        };
        Ok(plan.objects.iter().map(diff).collect())
    }

    async fn probe(&self, _: &ClusterRef, _: bool) -> Result<Vec<Probe>, DeployError> {
        panic!("nobody asked for rights")
    }
}

fn engine(cluster: Mirror, files: &[(&str, &str)]) -> (Engine, Arc<MemoryStore>) {
    engine_at("first", cluster, files)
}

/// One whose head of A has this message.
fn engine_at(message: &str, cluster: Mirror, files: &[(&str, &str)]) -> (Engine, Arc<MemoryStore>) {
    let (forge, store) = (FakeForge::new(), Arc::new(MemoryStore::new()));
    let fake = DeployerPorts::new(Arc::new(FakeDeployer::new()));
    let ports = DeployerPorts { cluster: Arc::new(cluster), ..fake };
    forge.commit(A, "main", message, &[]);
    forge.commit(B, "main", "tests", files);
    let engine = Engine::builder(Arc::clone(&store))
        .watch(watch("qa", &["main"]))
        .forge("forge", ForgePorts::with_statuses(Arc::new(forge)))
        .deployer("deployer", ports)
        .build()
        .unwrap();
    (engine, store)
}

async fn diff(
    engine: &Engine,
) -> Result<(sentry_core::engine::Preview, Vec<ObjectDiff>), EngineError> {
    let (name, branch) = ("qa".parse().unwrap(), sample::subject("main"));
    engine.diff(&name, &branch, None, &Selection::default()).await
}

#[tokio::test]
async fn what_the_deployer_tells_is_told_and_nothing_is_written() {
    let (engine, store) = engine(Mirror::default(), &[("t.yaml", TASK)]);
    let (preview, diffs) = diff(&engine).await.unwrap();
    let [one] = &diffs[..] else { panic!("{diffs:?}") };
    assert_eq!((one.action, one.object.name.as_str()), (Action::Unchanged, "unit"));
    assert_eq!(preview.plan.unwrap().objects.len(), 1);
    assert_eq!(store.snapshot(), Default::default());
}

#[tokio::test]
async fn where_a_document_is_refused_nothing_would_change() {
    let (engine, _) = engine(Mirror::default(), &[("t.yaml", TASK), ("u.yaml", TASK)]);
    let (preview, diffs) = diff(&engine).await.unwrap();
    assert_eq!((preview.set.refusals().count(), diffs.len()), (1, 0));
}

#[tokio::test]
async fn a_cluster_that_is_away_is_an_error_that_says_what_was_asked() {
    let (engine, _) = engine(Mirror { away: true }, &[("t.yaml", TASK)]);
    let error = diff(&engine).await.unwrap_err();
    assert!(
        matches!(&error, EngineError::Deploy { source, .. } if source.kind() == DeployErrorKind::Unreachable)
    );
    assert_eq!(error.to_string(), "can't tell what would change on test/qa");
}

#[tokio::test]
async fn a_run_that_refers_to_what_neither_b_nor_the_cluster_holds_is_refused() {
    let run = |task: &str| {
        format!(
            "apiVersion: tekton.dev/v1\nkind: TaskRun\nmetadata: {{name: {task}}}\nspec: {{taskRef: {{name: {task}}}}}\n"
        )
    };
    let (there, gone) = (run("there"), run("gone"));
    let (engine, _) = engine(Mirror::default(), &[("a.yaml", &there), ("b.yaml", &gone)]);
    let (name, branch) = ("qa".parse().unwrap(), sample::subject("main"));
    let preview = engine.preview(&name, &branch, None, &Selection::default()).await.unwrap();
    let refused: Vec<_> = preview.set.refusals().map(|d| d.path.as_str()).collect();
    assert_eq!(refused, ["b.yaml"]);
    assert!(preview.plan.is_none());
}

#[tokio::test]
async fn a_head_that_asks_not_to_be_delivered_is_noted_unless_a_person_asks_for_it() {
    let (engine, _) = engine_at("docs [skip ci]", Mirror::default(), &[("t.yaml", TASK)]);
    let (name, branch) = ("qa".parse().unwrap(), sample::subject("main"));
    let notes = async |selection: &Selection| {
        engine.preview(&name, &branch, None, selection).await.unwrap().set.notes
    };
    let change = notes(&Selection::default()).await;
    assert_eq!(change, ["the commit message contains [skip ci]: it starts nothing on its own"]);
    let asked = Selection { event: Some(EventName::new("push")), run: None };
    assert_eq!(notes(&asked).await, [""; 0]);
}
