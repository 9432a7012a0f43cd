//! What a cluster answers to questions.

use serde_json::json;

use super::{Bench, Refusal, refs};
use crate::deployer::{KindsQuery, Served};
use crate::plan::Action::{Configured, Created, Exists, Unchanged};
use crate::plan::{Action, Operation};
use crate::retry::Retry;

/// See the name.
pub async fn a_diff_tells_what_would_be_created_configured_and_left_and_writes_nothing(at: Bench) {
    at.deliver(&[at.named("right", "a"), at.named("changed", "a"), at.run("one", "k")]).await;
    let before = at.ground.writes();
    let plan = [
        at.named("new", "a"),
        at.named("right", "a"),
        at.named("changed", "b"),
        at.run("one", "k"),
        at.run("two", "l"),
    ];
    let diff = at.cluster().diff(&at.plan(&plan)).await.expect("the diff");
    assert_eq!(diff.iter().map(|d| &d.object).collect::<Vec<_>>(), refs(&plan));
    let told: Vec<Action> = diff.iter().map(|d| d.action).collect();
    assert_eq!(told, [Created, Unchanged, Configured, Exists, Created], "{diff:?}");
    let has_before: Vec<bool> = diff.iter().map(|d| d.before.is_some()).collect();
    assert_eq!(has_before, [false, true, true, true, false]);
    for same in [&diff[1], &diff[3]] {
        assert_eq!(same.before.as_ref(), Some(&same.after));
    }
    assert_ne!(diff[2].before.as_ref(), Some(&diff[2].after));
    assert_eq!(at.ground.writes(), before);
    assert!(at.exist(&[&plan[0], &plan[4]]).await.is_empty());
}

/// Neither what is there nor what would be, in plain text or encoded; only whether they are the same.
pub async fn a_diff_shows_no_data_of_a_secret(at: Bench) {
    let secret = |field: &str, data: &str| {
        at.planned(("v1", "Secret", "login"), Operation::Apply, json!({field: {"password": data}}))
    };
    // "first-word" and "other-word" encoded.
    let (first, other) = ("Zmlyc3Qtd29yZA==", "b3RoZXItd29yZA==");
    at.deliver(&[secret("data", first)]).await;
    for (next, action) in [(secret("data", first), Unchanged), (secret("data", other), Configured)]
    {
        let diff = at.cluster().diff(&at.plan(&[next])).await.expect("the diff");
        assert_eq!(diff[0].action, action);
        let text = format!("{diff:?}");
        for word in [first, other, "first-word", "other-word"] {
            assert!(!text.contains(word.trim_end_matches('=')), "{word} in {text}");
        }
    }
}

/// See the name.
pub async fn a_diff_of_a_refused_object_is_an_error(at: Bench) {
    at.ground.refuse("Task", "bad", Refusal::ForGood);
    let plan = at.plan(&[at.named("good", "a"), at.named("bad", "a")]);
    let error = at.cluster().diff(&plan).await.expect_err("it is refused");
    assert_eq!(error.retry(), Retry::Stalled, "{error:?}");
}

/// See the name.
pub async fn what_exists_is_told_and_what_does_not_is_not(at: Bench) {
    let (task, run, missing) =
        (at.named("unit", "a"), at.run("one", "k"), at.named("missing", "a"));
    at.deliver(&[task.clone(), run.clone()]).await;
    assert_eq!(at.exist(&[&missing, &run, &task]).await, ["one", "unit"]);
    assert!(at.exist(&[&missing]).await.is_empty());
    // The same name is another object in another kind, and in another namespace.
    let unit = at.run("unit", "k");
    assert!(at.exist(&[&unit]).await.is_empty());
    let mut elsewhere = at;
    elsewhere.target.namespace = "elsewhere".parse().expect("a namespace");
    assert!(elsewhere.exist(&[&task]).await.is_empty());
}

/// Where the cluster tells its kinds at all.
pub async fn the_kinds_that_are_wanted_are_known(at: Bench) {
    let kinds = ["PipelineRun", "Task", "Nonsense"];
    let kinds = kinds.map(|kind| ("tekton.dev/v1".to_owned(), kind.to_owned()));
    let wanted = KindsQuery { kinds: kinds.into(), ..KindsQuery::default() };
    let Some(table) = at.cluster().kinds(&at.target, &wanted).await.expect("the kinds") else {
        return;
    };
    for kind in ["PipelineRun", "Task"] {
        let served = table.served("tekton.dev/v1", kind);
        assert_eq!(served, Served::Yes { namespaced: true }, "{kind}");
    }
    assert_eq!(table.served("tekton.dev/v1", "Nonsense"), Served::Never);
}

/// See the name.
pub async fn a_probe_says_whether_the_cluster_is_there(at: Bench) {
    let probes = at.cluster().probe(&at.target, true).await.expect("the answers");
    assert!(probes.iter().all(|probe| probe.allowed), "{probes:?}");
    at.ground.away(true);
    let probes = at.cluster().probe(&at.target, false).await.expect("the answers");
    assert!(probes.iter().any(|probe| !probe.allowed), "{probes:?}");
}
