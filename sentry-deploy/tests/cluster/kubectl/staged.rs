//! What kubectl is told, and what becomes of answers that a server does not give at will: no kubectl is started.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use sentry_core::deployer::{
    Checked, Cluster as _, DeployErrorKind, Deployer as _, KindsQuery, RetireHow, Served,
};
use sentry_core::plan::{Action, COMMIT_LABEL, KEY_ANNOTATION};
use sentry_process::Output;
use sentry_process::stage::{Call, Stage};
use serde_json::{Value, json};

use super::{cluster, lab, lab_with, plan, planned};

/// The words of each call and what it was given.
type Asked = Rc<RefCell<Vec<(String, Vec<u8>)>>>;

/// kubectl as its answers: to a call with all these words the first that fits, to any other one none. What was asked
/// is noted.
fn answered(answers: Vec<(&'static str, Output)>) -> (Stage, Asked) {
    let asked = Rc::new(RefCell::new(Vec::new()));
    let (note, mut answers) = (Rc::clone(&asked), answers);
    let stage = Stage::new(move |call: &Call| {
        let words: Vec<_> = call.args.iter().map(|word| word.to_string_lossy()).collect();
        let line = words.join(" ");
        note.borrow_mut().push((line.clone(), call.stdin.clone()));
        let fits = |(words, _): &(&str, Output)| words.split(' ').all(|word| line.contains(word));
        match answers.iter().position(fits) {
            Some(at) if answers.iter().filter(|answer| fits(answer)).count() > 1 => {
                answers.remove(at).1
            }
            Some(at) => answers[at].1.clone(),
            None => Output::of(1, "", ""),
        }
    });
    (stage, asked)
}

fn says(text: impl Into<Vec<u8>>) -> Output {
    Output::of(0, text, "")
}

fn fails(text: &str) -> Output {
    Output::of(1, "", text)
}

fn version(minor: &str) -> (&'static str, Output) {
    ("version", says(json!({"clientVersion": {"minor": minor}}).to_string()))
}

#[tokio::test]
async fn fields_are_validated_strictly_by_a_kubectl_that_can_ask_for_it() {
    for (minor, option) in [("24", "true"), ("25", "strict"), ("32+", "strict")] {
        let lab = lab();
        let (_stage, asked) = answered(vec![version(minor), ("apply", says(""))]);
        lab.deployer.check(&plan(vec![planned("Task", "unit", None)])).await.unwrap();
        let last = asked.borrow().last().unwrap().0.clone();
        assert!(last.contains(&format!(" --validate={option} ")), "{minor}: {last}");
    }
    let lab = lab();
    let (_stage, _) = answered(vec![("version", says("{}"))]);
    let error = lab.deployer.check(&plan(Vec::new())).await.unwrap_err();
    assert_eq!(error.kind(), DeployErrorKind::Local);
    assert!(error.hint().unwrap().contains("kubectl 1.20"), "{error:?}");
}

#[tokio::test]
async fn a_check_that_fails_without_a_word_allows_nothing() {
    let lab = lab();
    let (_stage, _) = answered(vec![version("32"), ("create", fails(""))]);
    let plan = plan(vec![planned("PipelineRun", "one", Some("k"))]);
    let error = lab.deployer.check(&plan).await.unwrap_err();
    assert!(error.to_string().contains("did not say why"), "{error}");
}

#[tokio::test]
async fn what_was_sent_before_a_call_that_failed_on_this_side_is_told() {
    let lab = lab();
    let (_stage, _) = answered(vec![
        ("apply", says("task.tekton.dev/unit serverside-applied\n")),
        ("create", fails("error: context \"x\" does not exist")),
    ]);
    let objects = vec![planned("Task", "unit", None), planned("PipelineRun", "one", Some("k"))];
    let changes = lab.deployer.apply(&plan(objects), &Checked::default()).await.unwrap();
    let actions: Vec<_> = changes.objects.iter().map(|o| o.action).collect();
    assert_eq!(actions, [Action::Configured, Action::Failed]);
    assert_eq!(changes.error.unwrap().kind(), DeployErrorKind::Local);
}

#[tokio::test]
async fn a_new_run_is_shown_as_the_server_would_have_it() {
    let lab = lab();
    let fresh = planned("PipelineRun", "fresh", Some("k"));
    let mut made = fresh.json.clone();
    made["spec"]["timeouts"] = json!({"pipeline": "1h0m0s"});
    let (_stage, _) = answered(vec![
        version("32"),
        ("get", says("")),
        ("create --dry-run=server json", says(made.to_string())),
    ]);
    let diff = lab.deployer.diff(&plan(vec![fresh])).await.unwrap();
    assert!(diff[0].after.contains("pipeline: 1h0m0s"), "{}", diff[0].after);
}

#[tokio::test]
async fn a_credential_that_was_renewed_is_taken_out_of_what_is_told_as_well() {
    let mut kubeconfig = None;
    let lab = lab_with(|settings| kubeconfig.clone_from(&settings.kubeconfig));
    let text = "users: [{name: a, user: {token: the-renewed-one}}]";
    std::fs::write(kubeconfig.unwrap(), text).unwrap();
    let (_stage, _) =
        answered(vec![version("32"), ("apply", fails("error: the-renewed-one is bad"))]);
    let error = lab.deployer.check(&plan(vec![planned("Task", "unit", None)])).await.unwrap_err();
    assert!(error.to_string().ends_with("[redacted] is bad"), "{error}");
}

/// A run with Sentry's marks, with what is asked of it and how it stands.
fn run(name: &str, asked: impl Into<Value>, stands: &str) -> Value {
    let asked = asked.into();
    json!({
        "apiVersion": "tekton.dev/v1", "kind": "PipelineRun",
        "metadata": {
            "name": name, "labels": {COMMIT_LABEL: "c"}, "annotations": {KEY_ANNOTATION: "k"},
        },
        "spec": {"status": asked},
        "status": {"conditions": [{"type": "Succeeded", "status": stands}]},
    })
}

fn listed(runs: &[Value]) -> Output {
    says(json!({"kind": "List", "items": runs}).to_string())
}

#[tokio::test]
async fn what_goes_on_or_waits_and_was_not_asked_to_end_is_asked() {
    let lab = lab();
    let runs = [
        run("going", json!(null), "Unknown"),
        run("waiting", json!("PipelineRunPending"), "Unknown"),
        run("ending", json!("CancelledRunFinally"), "Unknown"),
        run("ended", json!(null), "True"),
    ];
    let (_stage, asked) = answered(vec![("get", listed(&runs)), ("patch", says(""))]);
    lab.retire(RetireHow::Cancel, &["going", "waiting", "ending", "ended"]).await.unwrap();
    let asked = asked.borrow();
    let (_, patched) = asked.iter().find(|(line, _)| line.contains("patch")).unwrap();
    let patched: Value = serde_json::from_slice(patched).unwrap();
    let names: Vec<_> =
        patched["items"].as_array().unwrap().iter().map(|run| &run["metadata"]["name"]).collect();
    assert_eq!(names, ["going", "waiting"]);
}

#[tokio::test]
async fn a_run_that_cannot_be_asked_to_end_is_an_error_only_while_it_goes_on() {
    let going = [run("going", json!(null), "Unknown")];
    let ended = [run("going", json!(null), "True")];
    for (patch, after, is_error) in [
        (says(""), &going, false),
        (fails("error: no"), &going, true),
        (fails("error: no"), &ended, false),
    ] {
        let lab = lab();
        let (_stage, _) =
            answered(vec![("get", listed(&going)), ("get", listed(after)), ("patch", patch)]);
        let done = lab.retire(RetireHow::Cancel, &["going"]).await;
        assert_eq!(done.is_err(), is_error, "{done:?}");
    }
}

const TABLE: &str = "tasks tekton.dev/v1 true Task\n";

fn wanted(version: &str, fields: &[&str]) -> KindsQuery {
    let fields = fields.iter().map(|version| (*version).to_owned()).collect();
    KindsQuery { kinds: [(version.to_owned(), "Task".to_owned())].into(), fields }
}

#[tokio::test]
async fn a_table_of_kinds_is_good_if_it_is_whole_or_says_what_it_lacks() {
    let lacks =
        "error: unable to retrieve the complete list of server APIs: metrics.k8s.io/v1beta1: no";
    for (code, table, said, is_good) in [
        (0, TABLE, "", true),
        (0, "", "", false),
        (1, TABLE, lacks, true),
        (1, TABLE, "error: something else", false),
        (1, "", lacks, false),
    ] {
        let lab = lab();
        let (_stage, _) = answered(vec![("api-resources", Output::of(code, table, said))]);
        let kinds = lab.deployer.kinds(&cluster(), &wanted("tekton.dev/v1", &[])).await;
        assert_eq!(kinds.is_ok(), is_good, "{code} {table:?} {said}: {kinds:?}");
    }
}

#[tokio::test]
async fn of_a_group_that_cannot_be_listed_it_is_unknown_what_it_has() {
    let lab = lab();
    let (_stage, _) = answered(vec![("api-resources", says(TABLE))]);
    let kinds = lab.deployer.kinds(&cluster(), &wanted("tekton.dev/v1beta1", &[])).await;
    let kinds = kinds.unwrap().unwrap();
    let served = kinds.served("tekton.dev/v1beta1", "Task");
    assert!(matches!(served, Served::Unknown { .. }), "{served:?}");
}

#[tokio::test]
async fn a_server_that_describes_no_fields_has_none_and_another_error_is_told() {
    for (said, is_known) in [
        ("Error from server (NotFound): the server could not find the requested resource", true),
        ("Error from server (Forbidden): no", false),
    ] {
        let lab = lab();
        let (_stage, _) =
            answered(vec![("api-resources", says(TABLE)), ("/openapi/v3/", fails(said))]);
        let kinds =
            lab.deployer.kinds(&cluster(), &wanted("tekton.dev/v1", &["tekton.dev/v1"])).await;
        assert_eq!(kinds.is_ok(), is_known, "{said}: {kinds:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_table_of_kinds_is_used_for_a_minute() {
    let lab = lab();
    let (_stage, asked) = answered(vec![("api-resources", says(TABLE))]);
    for (seconds, times) in [(0, 1), (59, 1), (1, 2)] {
        tokio::time::advance(Duration::from_secs(seconds)).await;
        lab.deployer.kinds(&cluster(), &wanted("tekton.dev/v1", &[])).await.unwrap();
        assert_eq!(asked.borrow().len(), times, "after {seconds} s more");
    }
}

#[tokio::test]
async fn a_context_that_is_missing_is_told_apart_from_a_cluster_that_is_away() {
    for (said, what) in [
        ("error: context \"x\" does not exist", "use the kubeconfig's context"),
        ("Unable to connect to the server: EOF", "reach the cluster"),
    ] {
        let lab = lab();
        let (_stage, _) = answered(vec![("version", fails(said))]);
        let probes = lab.deployer.probe(&cluster(), false).await.unwrap();
        assert_eq!((probes.len(), probes[0].what.as_str()), (1, what));
        assert!(!probes[0].allowed, "{probes:?}");
    }
}
