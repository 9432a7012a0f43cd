//! What a plan would change.

use sentry_core::deployer::{Checked, Cluster as _, DeployErrorKind, Deployer as _};
use sentry_core::plan::{Action, PlannedObject};
use serde_json::json;

use super::{lab, moved, plan, planned};

fn secret(name: &str, password: &str) -> PlannedObject {
    let mut secret = planned("Secret", name, None);
    secret.json["data"] = json!({"password": password});
    secret
}

fn task(name: &str, description: &str) -> PlannedObject {
    let mut task = planned("Task", name, None);
    task.json["spec"] = json!({"description": description});
    task
}

#[tokio::test]
async fn each_object_is_told_with_what_it_is_and_would_be_and_nothing_is_written() {
    let lab = lab();
    let live =
        plan(vec![task("same", "a"), task("other", "a"), planned("PipelineRun", "run", Some("k"))]);
    lab.deployer.apply(&live, &Checked::default()).await.unwrap();
    let writes = lab.server.writes();
    let next = plan(vec![
        task("same", "a"),
        task("other", "b"),
        task("new", "a"),
        planned("PipelineRun", "run", Some("k")),
        planned("PipelineRun", "fresh", Some("k2")),
    ]);
    let diff = lab.deployer.diff(&next).await.unwrap();
    let actions: Vec<_> = diff.iter().map(|d| (d.object.name.as_str(), d.action)).collect();
    assert_eq!(
        actions,
        [
            ("same", Action::Unchanged),
            ("other", Action::Configured),
            ("new", Action::Created),
            ("run", Action::Exists),
            ("fresh", Action::Created),
        ]
    );
    assert_eq!(lab.server.writes(), writes);
    let text = |description: &str| {
        format!(
            "apiVersion: tekton.dev/v1\nkind: Task\nmetadata:\n  name: other\n  namespace: qa\nspec:\n  description: {description}\n"
        )
    };
    assert_eq!(diff[1].before.as_deref(), Some(text("a").as_str()));
    assert_eq!(diff[1].after, text("b"));
    assert_eq!(diff[4].before, None);
    assert!(diff[4].after.contains("name: fresh"), "{}", diff[4].after);
}

#[tokio::test]
async fn a_secrets_data_shows_equal_or_different_and_never_what_it_is() {
    let lab = lab();
    // The first is short, so that no redactor knows it.
    let live = plan(vec![secret("same", "cHcx"), secret("other", "bGl2ZS1wYXNzd29yZA==")]);
    lab.deployer.apply(&live, &Checked::default()).await.unwrap();
    // As a kubectl that applied it from the client's side left it.
    lab.server.edit("Secret", "other", |secret| {
        let last = r#"{"data":{"password":"bGl2ZS1wYXNzd29yZA=="}}"#;
        secret["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"] =
            json!(last);
    });
    let mut echo = task("echo", "the password is next-password");
    echo.json["spec"]["displayName"] = json!("bmV4dC1wYXNzd29yZA==");
    let next = plan(vec![secret("same", "cHcx"), secret("other", "bmV4dC1wYXNzd29yZA=="), echo]);
    let diff = lab.deployer.diff(&next).await.unwrap();
    let actions: Vec<_> = diff.iter().map(|d| d.action).collect();
    assert_eq!(actions, [Action::Unchanged, Action::Configured, Action::Created]);
    assert_ne!(diff[1].before.as_ref(), Some(&diff[1].after));
    for d in &diff {
        let all = format!("{d:?}");
        for word in ["cHcx", "bGl2ZS1w", "bmV4dC1w", "live-password", "next-password"] {
            assert!(!all.contains(word), "{word} in {all}");
        }
    }
    assert!(diff[0].after.contains("password: "), "{}", diff[0].after);
}

#[tokio::test]
async fn objects_of_two_namespaces_are_told_apart() {
    let lab = lab();
    lab.server.add_namespace("other");
    lab.deployer.apply(&plan(vec![task("unit", "a")]), &Checked::default()).await.unwrap();
    let both = plan(vec![task("unit", "b"), moved(task("unit", "b"), "other")]);
    let diff = lab.deployer.diff(&both).await.unwrap();
    let actions: Vec<_> = diff.iter().map(|d| d.action).collect();
    assert_eq!(actions, [Action::Configured, Action::Created]);
}

#[tokio::test]
async fn a_refused_object_and_a_taken_name_are_errors() {
    let lab = lab();
    lab.deployer
        .apply(&plan(vec![planned("PipelineRun", "run", Some("k"))]), &Checked::default())
        .await
        .unwrap();
    let taken = plan(vec![planned("PipelineRun", "run", Some("other"))]);
    let error = lab.deployer.diff(&taken).await.unwrap_err();
    assert_eq!(error.kind(), DeployErrorKind::NameConflict);
    let mut wrong = task("unit", "a");
    wrong.json["spec"]["tsaks"] = json!([]);
    let error = lab.deployer.diff(&plan(vec![wrong])).await.unwrap_err();
    assert!(error.to_string().contains("tsaks"), "{error}");
}
