//! What runs clone A with: on the cluster before them, owned by them, gone with the last.

use std::collections::BTreeSet;

use sentry_core::deployer::{Checked, Cluster as _, DeployErrorKind, Deployer as _};
use sentry_core::plan::{GitAuth, Plan, PlannedObject};
use sentry_core::secret::Secret;
use serde_json::{Value, json};

use super::{Lab, lab, plan, planned};

/// Known to nobody but the plan.
const LENT: &str = "ghs-c4nary/t0ken";
const NAME: &str = "git-auth-c0ffee00-abcdefghijklmnop";

fn run(name: &str) -> PlannedObject {
    planned("PipelineRun", name, Some(name))
}

/// These runs, all of which clone A.
fn lending(runs: &[&str], token: &str) -> Plan {
    let runs: Vec<_> = runs.iter().map(|name| run(name)).collect();
    let users = runs.iter().map(|run| run.object.clone()).collect();
    let secret = GitAuth {
        name: NAME.into(),
        namespace: "qa".into(),
        json: json!({
            "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
            "metadata": {"name": NAME, "namespace": "qa"},
        }),
        data: [("git-provider-token".to_owned(), Secret::new(token))].into(),
        users,
    };
    Plan { git_auth: vec![secret], ..plan(runs) }
}

fn secret(lab: &Lab) -> Option<Value> {
    lab.server.object("Secret", NAME)
}

/// The names of the runs that own the Secret.
fn owners(lab: &Lab) -> Vec<String> {
    let secret = secret(lab).unwrap();
    let owners = secret["metadata"]["ownerReferences"].as_array().cloned().unwrap_or_default();
    for owner in &owners {
        let run = lab.server.object("PipelineRun", owner["name"].as_str().unwrap()).unwrap();
        assert_eq!(owner["uid"], run["metadata"]["uid"]);
        assert_eq!(
            (&owner["controller"], &owner["blockOwnerDeletion"]),
            (&Value::Null, &Value::Null)
        );
    }
    owners.iter().map(|owner| owner["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn the_secret_is_there_before_its_runs_belongs_to_them_and_goes_with_the_last() {
    let lab = lab();
    let both = lending(&["one", "two"], LENT);
    let checked = lab.deployer.check(&both).await.unwrap();
    assert_eq!(lab.server.writes(), 0);
    let changes = lab.deployer.apply(&both, &checked).await.unwrap();
    assert!(changes.is_complete() && changes.objects.len() == 2, "{changes:?}");
    let writes = lab.server.requests().into_iter().filter(|request| request.is_write());
    let first = writes.map(|request| request.path).next().unwrap();
    assert!(first.ends_with(NAME), "{first}");
    assert_eq!(secret(&lab).unwrap()["data"]["git-provider-token"], "Z2hzLWM0bmFyeS90MGtlbg==");
    assert_eq!(owners(&lab), ["one", "two"]);
    assert!(lab.server.delete("PipelineRun", "one"));
    assert!(secret(&lab).is_some());
    assert!(lab.server.delete("PipelineRun", "two"));
    assert_eq!(secret(&lab), None);
}

#[tokio::test]
async fn a_later_run_owns_it_as_well_and_brings_a_new_token() {
    let lab = lab();
    let users = |objects: Vec<PlannedObject>, token: &str| Plan {
        objects,
        ..lending(&["one", "two"], token)
    };
    lab.deployer.apply(&users(vec![run("one")], LENT), &Checked::default()).await.unwrap();
    assert_eq!(owners(&lab), ["one"]);
    let changes = lab
        .deployer
        .apply(&users(vec![run("two")], "ghs-fresh"), &Checked::default())
        .await
        .unwrap();
    assert!(changes.is_complete(), "{changes:?}");
    assert_eq!(owners(&lab), ["one", "two"]);
    assert_eq!(secret(&lab).unwrap()["data"]["git-provider-token"], "Z2hzLWZyZXNo");
}

#[tokio::test]
async fn a_lost_answer_at_any_write_is_repaired_by_the_repeat() {
    for lost in 1..=4 {
        let lab = lab();
        lab.server.faults().lose_response_of_write(lost);
        let first = lab.deployer.apply(&lending(&["one", "two"], LENT), &Checked::default()).await;
        let again =
            lab.deployer.apply(&lending(&["one", "two"], LENT), &Checked::default()).await.unwrap();
        assert!(again.is_complete(), "answer {lost}: {first:?} then {again:?}");
        assert_eq!(owners(&lab), ["one", "two"], "answer {lost}");
        assert_eq!(lab.server.creates_of("PipelineRun"), ["one", "two"], "answer {lost}");
    }
}

#[tokio::test]
async fn runs_that_could_not_be_made_owners_leave_the_delivery_incomplete_until_they_are() {
    let lab = lab();
    lab.server.faults().drop_writes_after(2);
    let first = lab.deployer.apply(&lending(&["one"], LENT), &Checked::default()).await.unwrap();
    assert!(first.objects[0].action.is_acknowledged() && !first.is_complete(), "{first:?}");
    let error = first.error.unwrap();
    assert!(error.to_string().contains("can't set the owners of the Secret"), "{error}");
    assert!(error.retry() != sentry_core::retry::Retry::Stalled);
    assert!(owners(&lab).is_empty());
    lab.server.faults().heal();
    // The run is acknowledged, so that only what is lent is sent again.
    let repair = Plan { objects: Vec::new(), ..lending(&["one"], LENT) };
    assert!(lab.deployer.apply(&repair, &Checked::default()).await.unwrap().is_complete());
    assert_eq!(owners(&lab), ["one"]);
}

#[tokio::test]
async fn without_a_run_no_secret_is_left_and_no_error_tells_what_was_in_it() {
    let lab = lab();
    let echo = format!("the server repeats {LENT} Z2hzLWM0bmFyeS90MGtlbg==");
    lab.server.faults().refuse_write("PipelineRun", "one", 422, &echo);
    let changes = lab.deployer.apply(&lending(&["one"], LENT), &Checked::default()).await.unwrap();
    assert!(!changes.is_complete());
    assert_eq!(secret(&lab), None);
    lab.server.faults().heal();
    lab.server.faults().refuse_always("Secret", NAME, 403, &echo);
    let checked = lab.deployer.check(&lending(&["one"], LENT)).await.unwrap_err();
    let applied =
        lab.deployer.apply(&lending(&["one"], LENT), &Checked::default()).await.unwrap_err();
    assert!(lab.server.creates_of("PipelineRun").is_empty());
    for text in [format!("{changes:?}"), format!("{checked:?}"), format!("{applied:?}")] {
        assert!(text.contains("the server repeats [redacted]"), "{text}");
        assert!(!text.contains("c4nary") && !text.contains("Z2hzLWM0bmFyeS"), "{text}");
    }
}

#[tokio::test]
async fn what_was_lent_is_taken_back_where_something_else_cant_be_lent() {
    let lab = lab();
    lab.server.add_namespace("other");
    let mut both = lending(&["one"], LENT);
    let elsewhere = GitAuth {
        name: "git-auth-elsewhere".into(),
        namespace: "other".into(),
        json: json!({
            "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
            "metadata": {"name": "git-auth-elsewhere", "namespace": "other"},
        }),
        ..both.git_auth[0].clone()
    };
    both.git_auth.push(elsewhere);
    lab.server.faults().refuse_always("Secret", "git-auth-elsewhere", 403, "not there");
    lab.deployer.apply(&both, &Checked::default()).await.unwrap_err();
    let mut writes = lab.server.requests().into_iter().filter(|request| request.is_write());
    assert!(writes.any(|request| request.path.ends_with(NAME)), "the first one was made");
    assert_eq!(secret(&lab), None);
}

#[tokio::test]
async fn a_diff_does_not_show_it_and_writes_nothing() {
    let lab = lab();
    let diff = lab.deployer.diff(&lending(&["one"], LENT)).await.unwrap();
    assert_eq!(diff.len(), 1);
    assert!(!format!("{diff:?}").contains("c4nary"));
    assert_eq!(lab.server.writes(), 0);
}

#[tokio::test]
async fn lending_takes_three_rights_for_secrets_and_says_which_one_is_missing() {
    let lab = lab();
    let rights = ["create", "patch", "delete"].map(|verb| (verb, "secrets"));
    let runs = ["create", "get"].map(|verb| (verb, "pipelineruns.tekton.dev"));
    lab.server.faults().grant_only(&[&rights[..], &runs[..]].concat());
    let checked = lab.deployer.check(&lending(&["one"], LENT)).await.unwrap();
    assert!(lab.deployer.apply(&lending(&["one"], LENT), &checked).await.unwrap().is_complete());
    let none = Plan { objects: Vec::new(), ..lending(&["missing"], LENT) };
    assert!(lab.deployer.apply(&none, &Checked::default()).await.unwrap().is_complete());
    assert_eq!(secret(&lab), None);
    let used = lab.server.rights_used().into_keys().filter(|(_, resource)| resource == "secrets");
    let used: BTreeSet<String> = used.map(|(verb, _)| verb).collect();
    assert_eq!(used, rights.map(|(verb, _)| verb.to_owned()).into());
    lab.server.faults().grant_only(&runs);
    let error = lab.deployer.check(&lending(&["two"], LENT)).await.unwrap_err();
    assert_eq!(error.kind(), DeployErrorKind::Forbidden);
    assert!(error.to_string().contains("(git_auth_secret)"), "{error}");
    assert!(error.hint().unwrap().contains("grant the right"), "{error:?}");
}
