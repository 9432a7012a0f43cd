//! Checking and applying.

use std::time::Duration;

use sentry_core::deployer::{Checked, DeployErrorKind, Deployer as _};
use sentry_core::plan::{Action, Plan};
use sentry_core::retry::Retry;

use super::{lab, moved, plan, planned};

fn four() -> Plan {
    plan(vec![
        planned("Task", "unit", None),
        planned("Pipeline", "suite", None),
        planned("PipelineRun", "one", Some("key of one")),
        planned("PipelineRun", "two", Some("key of two")),
    ])
}

#[tokio::test]
async fn a_check_writes_nothing_and_an_apply_makes_every_object_in_order_once() {
    let lab = lab();
    let checked = lab.deployer.check(&four()).await.unwrap();
    assert_eq!(lab.server.writes(), 0);
    let first = lab.deployer.apply(&four(), &checked).await.unwrap();
    assert!(first.is_complete(), "{first:?}");
    let again = lab.deployer.apply(&four(), &Checked::default()).await.unwrap();
    assert!(again.is_complete(), "{again:?}");
    let actions: Vec<_> = again.objects.iter().map(|o| o.action).collect();
    assert_eq!(actions[2..], [Action::Exists, Action::Exists]);
    assert_eq!(lab.server.creates_of("PipelineRun"), ["one", "two"]);
}

#[tokio::test]
async fn an_apply_tells_what_it_made_what_it_changed_and_what_it_left() {
    use Action::{Configured, Created, Exists, Unchanged};
    let lab = lab();
    let at = |description: &str| {
        let mut task = planned("Task", "unit", None);
        task.json["spec"] = serde_json::json!({"description": description});
        plan(vec![
            task,
            planned("Pipeline", "suite", None),
            planned("PipelineRun", "one", Some("k")),
        ])
    };
    for (description, actions) in [
        ("a", [Created, Created, Created]),
        ("a", [Unchanged, Unchanged, Exists]),
        ("b", [Configured, Unchanged, Exists]),
    ] {
        let checked = lab.deployer.check(&at(description)).await.unwrap();
        assert!(checked.refused.is_empty(), "{description}");
        let changes = lab.deployer.apply(&at(description), &checked).await.unwrap();
        let told: Vec<_> = changes.objects.iter().map(|o| o.action).collect();
        assert_eq!(told, actions, "{description}");
    }
    let unchecked = lab.deployer.apply(&at("b"), &Checked::default()).await.unwrap();
    assert_eq!(unchecked.objects[0].action, Configured, "nobody looked what was there");
}

#[tokio::test]
async fn a_lost_answer_at_any_write_is_repaired_by_the_repeat_without_a_second_run() {
    for lost in 1..=4 {
        let lab = lab();
        lab.server.faults().lose_response_of_write(lost);
        // Whether kubectl noticed is its own matter: the repeat must end well.
        let first = lab.deployer.apply(&four(), &Checked::default()).await;
        let again = lab.deployer.apply(&four(), &Checked::default()).await.unwrap();
        assert!(again.is_complete(), "answer {lost}: {first:?} then {again:?}");
        assert_eq!(lab.server.creates_of("PipelineRun"), ["one", "two"], "answer {lost}");
    }
}

#[tokio::test]
async fn a_run_name_that_is_taken_by_another_key_is_a_conflict() {
    let lab = lab();
    lab.deployer
        .apply(&plan(vec![planned("PipelineRun", "one", Some("mine"))]), &Checked::default())
        .await
        .unwrap();
    let other = plan(vec![planned("PipelineRun", "one", Some("another"))]);
    let changes = lab.deployer.apply(&other, &Checked::default()).await.unwrap();
    assert_eq!(changes.error.unwrap().kind(), DeployErrorKind::NameConflict);
}

#[tokio::test]
async fn a_run_name_that_a_person_took_is_a_conflict_and_no_run_of_ours() {
    let lab = lab();
    let mut theirs = planned("PipelineRun", "one", Some("ours")).json;
    theirs["metadata"].as_object_mut().unwrap().remove("annotations");
    lab.by_hand(&["create"], &theirs).await;
    let ours = plan(vec![planned("PipelineRun", "one", Some("ours"))]);
    let changes = lab.deployer.apply(&ours, &Checked::default()).await.unwrap();
    assert_eq!(changes.objects[0].action, Action::Failed);
    let error = changes.error.unwrap();
    assert_eq!(error.kind(), DeployErrorKind::NameConflict);
    assert!(error.to_string().contains("exists with no key"), "{error}");
}

#[tokio::test]
async fn a_refused_object_is_named_and_no_run_is_made() {
    let lab = lab();
    lab.server.faults().refuse_always("Pipeline", "suite", 422, "not to our taste");
    let changes = lab.deployer.apply(&four(), &Checked::default()).await.unwrap();
    assert_eq!(changes.objects[1].action, Action::Failed);
    assert!(
        changes.objects[1].reason.as_ref().unwrap().contains("not to our taste"),
        "{changes:?}"
    );
    assert!(lab.server.creates_of("PipelineRun").is_empty());
}

#[tokio::test]
async fn a_cluster_that_is_away_is_unreachable_and_one_that_hangs_ends_at_the_deadline() {
    let lab = lab();
    lab.server.pause();
    let away = lab.deployer.check(&four()).await.unwrap_err();
    assert_eq!(away.kind(), DeployErrorKind::Unreachable, "{away}");
    lab.server.resume();
    lab.server.faults().hang();
    let hung =
        lab.deployer.check(&Plan { timeout: Duration::from_secs(2), ..four() }).await.unwrap_err();
    assert_eq!(hung.retry(), Retry::Backoff, "{hung:?}");
}

#[tokio::test]
async fn a_context_that_does_not_exist_is_ours_to_repair() {
    let lab = lab();
    let mut wrong = four();
    wrong.cluster.context = Some("nowhere".into());
    let error = lab.deployer.check(&wrong).await.unwrap_err();
    assert_eq!(error.kind(), DeployErrorKind::Local, "{error}");
    assert!(error.hint().is_some());
    let error = lab.deployer.apply(&wrong, &Checked::default()).await.unwrap_err();
    assert_eq!(error.kind(), DeployErrorKind::Local, "nothing was sent: {error}");
}

#[tokio::test]
async fn objects_of_two_namespaces_are_checked_and_applied_and_no_run_before_all_named_ones() {
    let lab = lab();
    lab.server.add_namespace("other");
    let both = plan(vec![
        planned("Task", "unit", None),
        moved(planned("Task", "unit", None), "other"),
        planned("PipelineRun", "one", Some("one")),
        moved(planned("PipelineRun", "one", Some("other one")), "other"),
        moved(planned("PipelineRun", "two", Some("two")), "other"),
    ]);
    let checked = lab.deployer.check(&both).await.unwrap();
    assert_eq!(lab.server.writes(), 0);
    let changes = lab.deployer.apply(&both, &checked).await.unwrap();
    assert!(changes.is_complete(), "{changes:?}");
    let writes = lab.server.requests().into_iter().filter(|request| request.is_write());
    let paths: Vec<String> = writes.map(|request| request.path).collect();
    let at =
        |namespace: &str, rest: &str| format!("/apis/tekton.dev/v1/namespaces/{namespace}/{rest}");
    assert_eq!(
        paths,
        [
            at("qa", "tasks/unit"),
            at("other", "tasks/unit"),
            at("qa", "pipelineruns"),
            at("other", "pipelineruns"),
            at("other", "pipelineruns"),
        ]
    );
}

#[tokio::test]
async fn a_failure_in_the_second_namespace_names_its_object_and_stops_the_runs() {
    let lab = lab();
    let both = plan(vec![
        planned("Task", "unit", None),
        moved(planned("Task", "unit", None), "missing"),
        planned("PipelineRun", "one", Some("one")),
    ]);
    let checked = lab.deployer.check(&both).await.unwrap();
    let [(object, error)] = &checked.refused[..] else { panic!("{checked:?}") };
    assert_eq!((object, error.kind()), (&both.objects[1].object, DeployErrorKind::Missing));
    let changes = lab.deployer.apply(&both, &checked).await.unwrap();
    let actions: Vec<_> = changes.objects.iter().map(|o| o.action).collect();
    assert_eq!(actions[1..], [Action::Failed, Action::Skipped]);
    assert!(changes.objects[0].action.is_acknowledged(), "{changes:?}");
    assert!(lab.server.creates_of("PipelineRun").is_empty());
}

#[tokio::test]
async fn a_run_that_an_earlier_delivery_made_is_told_with_its_id() {
    let lab = lab();
    let mut earlier = planned("PipelineRun", "one", Some("key"));
    earlier.json["metadata"]["labels"]["sentry-gitops.dev/delivery"] = "earlier".into();
    lab.deployer.apply(&plan(vec![earlier]), &Checked::default()).await.unwrap();
    let again = plan(vec![planned("PipelineRun", "one", Some("key"))]);
    let changes = lab.deployer.apply(&again, &Checked::default()).await.unwrap();
    assert_eq!(changes.objects[0].action, Action::Exists);
    assert_eq!(changes.objects[0].reason.as_deref(), Some("created by delivery earlier"));
}
