//! Which runs are cancelled and deleted.

use serde_json::json;

use super::Bench;
use crate::delivery::RunState::Cancelled;
use crate::deployer::RetireHow::{Cancel, Delete};

/// See the name.
pub async fn a_run_that_goes_on_is_cancelled_and_not_deleted(at: Bench) {
    let run = at.run("one", "k");
    at.deliver(std::slice::from_ref(&run)).await;
    at.retire(Delete, &[&run]).await;
    assert_eq!(at.exist(&[&run]).await, ["one"]);
    at.retire(Cancel, &[&run]).await;
    assert_eq!(at.exist(&[&run]).await, ["one"]);
    let Some(mut told) = at.follow() else { return };
    let stands = told.until_synced().await;
    if stands != [("one".to_owned(), Cancelled)] {
        told.becomes("one", Cancelled).await;
    }
}

/// See the name.
pub async fn a_run_that_ended_is_deleted_and_not_cancelled(at: Bench) {
    let runs = [at.run("good", "k"), at.run("bad", "l")];
    at.deliver(&runs).await;
    at.ground.finish("good", true);
    at.ground.finish("bad", false);
    let before = at.ground.writes();
    at.retire(Cancel, &runs.each_ref()).await;
    assert_eq!(at.ground.writes(), before);
    at.retire(Delete, &runs.each_ref()).await;
    assert!(at.exist(&runs.each_ref()).await.is_empty());
}

/// See the name.
pub async fn retiring_a_run_that_is_gone_is_no_error(at: Bench) {
    let (here, gone) = (at.run("here", "k"), at.run("gone", "l"));
    at.deliver(std::slice::from_ref(&here)).await;
    at.ground.finish("here", true);
    at.retire(Cancel, &[&gone, &here]).await;
    at.retire(Delete, &[&gone, &here]).await;
    at.retire(Delete, &[&gone, &here]).await;
    at.retire(Delete, &[]).await;
    assert!(at.exist(&[&here, &gone]).await.is_empty());
}

/// See the name.
pub async fn a_run_without_our_labels_is_left_alone(at: Bench) {
    let mut foreign = [at.run("going", "k"), at.run("ended", "l")];
    for run in &mut foreign {
        run.json["metadata"]["labels"] = json!({"team": "qa"});
    }
    at.deliver(&foreign).await;
    at.ground.finish("ended", true);
    let before = at.ground.writes();
    at.retire(Cancel, &foreign.each_ref()).await;
    at.retire(Delete, &foreign.each_ref()).await;
    assert_eq!(at.ground.writes(), before);
    assert_eq!(at.exist(&foreign.each_ref()).await, ["going", "ended"]);
}
