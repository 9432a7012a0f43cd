//! Cancelling and deleting runs.

use sentry_apiserver::Outcome;
use sentry_core::delivery::RunState;
use sentry_core::deployer::{Checked, DeployErrorKind, Deployer as _, RetireHow};
use serde_json::json;

use super::{lab, plan, planned};

#[tokio::test]
async fn cancelling_asks_what_goes_on_to_end_and_leaves_the_rest_alone() {
    let lab = lab();
    lab.make("PipelineRun", &["going", "ended"]).await;
    let mut bare = planned("PipelineRun", "foreign", Some("k"));
    bare.json["metadata"]["labels"] = json!({});
    lab.deployer.apply(&plan(vec![bare]), &Checked::default()).await.unwrap();
    lab.server.finish_run("ended", Outcome::Succeeded);
    lab.retire(RetireHow::Cancel, &["going", "ended", "foreign", "missing"]).await.unwrap();
    let asked =
        |name: &str| lab.server.object("PipelineRun", name).unwrap()["spec"]["status"].clone();
    assert_eq!(asked("going"), "CancelledRunFinally");
    assert_eq!((asked("ended"), asked("foreign")), (json!(null), json!(null)));
    let mut told = lab.follow(&["PipelineRun"]);
    let both = [told.status().await, told.status().await];
    let going = both.iter().find(|status| status.name == "going").unwrap();
    assert_eq!(going.state, RunState::Cancelled);
    let writes = lab.server.writes();
    lab.retire(RetireHow::Cancel, &["going"]).await.unwrap();
    assert_eq!(lab.server.writes(), writes);
}

#[tokio::test]
async fn deleting_takes_only_what_ended_and_is_ours() {
    let lab = lab();
    lab.make("PipelineRun", &["going", "good", "bad"]).await;
    let mut bare = planned("PipelineRun", "foreign", Some("k"));
    bare.json["metadata"]["labels"] = json!({});
    lab.deployer.apply(&plan(vec![bare]), &Checked::default()).await.unwrap();
    for name in ["good", "foreign"] {
        lab.server.finish_run(name, Outcome::Succeeded);
    }
    lab.server.finish_run("bad", Outcome::TimedOut);
    let all = ["going", "good", "bad", "foreign", "missing"];
    lab.retire(RetireHow::Delete, &all).await.unwrap();
    let left = lab.server.objects_of("PipelineRun");
    let left: Vec<_> = left.iter().map(|run| run["metadata"]["name"].clone()).collect();
    assert_eq!(left, ["going", "foreign"]);
    lab.retire(RetireHow::Delete, &["good", "bad"]).await.unwrap();
}

#[tokio::test]
async fn a_missing_right_is_told() {
    let lab = lab();
    lab.make("PipelineRun", &["going"]).await;
    lab.server.faults().grant_only(&[("get", "pipelineruns.tekton.dev")]);
    let error = lab.retire(RetireHow::Cancel, &["going"]).await.unwrap_err();
    assert_eq!(error.kind(), DeployErrorKind::Forbidden, "{error}");
}
