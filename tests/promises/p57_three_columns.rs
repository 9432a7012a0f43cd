//! 57: what passes is waited for and never counted, what may pass is counted, given up and looked at again, what is
//! definite is refused at once with its own sentence: whatever answers, and at whichever step.

use std::time::Duration;

use futures::{StreamExt as _, stream};
use sentry_apiserver::ApiServer;
use sentry_core::delivery::{DeliveryState, RunState, Verdict};
use sentry_core::deployer::{Checked, DeployError, Deployer};
use sentry_core::forge::ForgePorts;
use sentry_core::secret::Redactor;
use sentry_core::testing::fakes::FakeDeployer;
use sentry_deploy::{Kubectl, KubectlSettings, Native, NativeSettings};
use sentry_tests::promise::{cases, kept};
use serde_json::json;

use crate::answers::{
    ANSWERS, Column, Step, Troubled, checked, column, errors, kubectl_that_says, plan,
};
use crate::world::{RUNS, World, seconds};

/// One answer at one step, for ten minutes; then all is well.
async fn ten_minutes(step: Step, error: &DeployError, wanted: Column, text: &str) {
    let what = format!("{wanted:?} at {step:?}: {text}");
    let fake =
        FakeDeployer::new().following().auto_finish(Duration::from_secs(900), RunState::Succeeded);
    let mut world = World::new(fake);
    let cluster = Troubled::new(&world.deployer, step, error.clone());
    world.start_on(
        ForgePorts::with_statuses(world.forge.clone()),
        cluster.clone(),
        world.store.clone(),
    );
    seconds(70).await;
    world.push();
    seconds(600).await;
    let delivery = world.deliveries().await.remove(0);
    if step == Step::Follow {
        let ended = delivery.verdict == Some(Verdict::Error);
        assert_eq!(ended, wanted != Column::Waits, "{what}: {delivery:?}");
        cluster.heal();
        seconds(1200).await;
        let verdict = world.deliveries().await.remove(0).verdict;
        assert_eq!(verdict == Some(Verdict::Success), wanted == Column::Waits, "{what}");
        assert_eq!(world.deployer.created().len(), RUNS, "{what}");
        return world.kill().await;
    }
    let again = world.branch("main").await.unwrap().parked.map(|parked| parked.again.is_some());
    let seen = (delivery.state, again, delivery.attempts.failures > 0);
    let right = match wanted {
        Column::Waits => (DeliveryState::Pending, None, false),
        Column::Counted => (DeliveryState::Parked, Some(true), true),
        Column::Definite => (DeliveryState::Parked, Some(false), false),
    };
    assert_eq!(seen, right, "{what}: {delivery:?}");
    assert_eq!(
        delivery.attempts.tries == 1,
        wanted == Column::Definite,
        "{what}: {} attempts",
        delivery.attempts.tries
    );
    let in_doubt = step == Step::Apply && !error.kind().is_answer();
    assert!(in_doubt || delivery.active_runs().next().is_none(), "{what}: it takes room");
    assert!(world.deployer.created().is_empty(), "{what}");
    cluster.heal();
    seconds(11 * 60).await;
    let made = if wanted == Column::Definite { 0 } else { RUNS };
    assert_eq!(world.deployer.created().len(), made, "{what}");
    world.kill().await;
}

/// What the real deployer meets where kubectl says so.
async fn met((_, text): &(Column, &str)) -> [DeployError; 3] {
    let home = tempfile::tempdir().unwrap();
    errors(&kubectl_that_says(text, home.path())).await
}

#[test]
fn each_answer_is_in_its_column_at_each_step_and_told_in_its_own_words() {
    let every = cases(1, 10);
    let real = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // Following asks several times before it gives up: all at once.
    let met: Vec<_> = real.block_on(stream::iter(ANSWERS).map(met).buffered(32).collect());
    let mut tried = 0;
    for (place, ((wanted, text), met)) in ANSWERS.iter().zip(&met).enumerate() {
        let last_words = text.lines().next().unwrap().rsplit(": ").next().unwrap().trim();
        for (step, error) in [Step::Check, Step::Apply, Step::Follow].into_iter().zip(met) {
            assert_eq!(column(error), *wanted, "at {step:?}: {text}: {error:?}");
            assert!(error.to_string().contains(last_words), "{text}: {error}");
            if place % every == 0 {
                let mut paused = tokio::runtime::Builder::new_current_thread();
                let paused = paused.enable_all().start_paused(true).build().unwrap();
                paused.block_on(ten_minutes(step, error, *wanted, text));
                tried += 1;
            }
        }
    }
    let number = |wanted| ANSWERS.iter().filter(|(column, _)| *column == wanted).count();
    let seen = format!(
        "{} answers ({} wait, {} are counted, {} definite) at check, at apply and while following, {tried} of them lived \
         through for 10 minutes: 0 in the wrong column",
        ANSWERS.len(),
        number(Column::Waits),
        number(Column::Counted),
        number(Column::Definite)
    );
    kept(57, "told by kubectl", &seen);
}

const HTML: &str = "<html><head><title>Error</title></head><body>nginx</body></html>";

/// An answer to a write: status, content type, body.
type Said = (u16, &'static str, String);

/// A `Status` as API servers send it.
fn status(code: u16, reason: &str, message: &str) -> Said {
    let details = json!({"kind": "pipelineruns", "name": "one"});
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": code,
        "reason": reason, "message": message, "details": details,
    });
    (code, "application/json", body.to_string())
}

fn page(code: u16) -> Said {
    (code, "text/html", HTML.to_owned())
}

/// At least five of each column, over HTTP.
fn said() -> Vec<(Column, Said)> {
    [(Column::Waits, waits()), (Column::Counted, counted()), (Column::Definite, definite())]
        .into_iter()
        .flat_map(|(column, said)| said.into_iter().map(move |said| (column, said)))
        .collect()
}

fn waits() -> Vec<Said> {
    let webhook = |why: &str| {
        let text = format!(
            "Internal error occurred: failed calling webhook \"w\": Post \"https://w.ns.svc:443/\": {why}"
        );
        status(500, "InternalError", &text)
    };
    let modified = "Operation cannot be fulfilled on tasks.tekton.dev \"unit\": the object has been modified; please \
                    apply your changes to the latest version and try again";
    [502, 500, 503, 504, 408, 429]
        .map(page)
        .into_iter()
        .chain([
            (500, "text/plain", "boom".into()),
            webhook("no endpoints available for service \"w\""),
            webhook("connect: no route to host"),
            status(409, "Conflict", modified),
            status(401, "Unauthorized", "Unauthorized"),
        ])
        .collect()
}

fn counted() -> Vec<Said> {
    let forbidden = |why: &str| {
        status(403, "Forbidden", &format!("pipelineruns.tekton.dev \"one\" is forbidden: {why}"))
    };
    vec![
        forbidden("exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1"),
        forbidden(
            "User \"sentry\" cannot create resource \"pipelineruns\" in API group \"tekton.dev\" in the namespace \"qa\"",
        ),
        forbidden("unable to create new content in namespace qa because it is being terminated"),
        status(404, "NotFound", "namespaces \"qa\" not found"),
        page(404),
        page(403),
        conflict("argocd"),
    ]
}

/// What is said of a field that another manager owns: each cause names one.
fn conflict(manager: &str) -> Said {
    let cause = json!({"reason": "FieldManagerConflict", "field": ".spec.steps",
        "message": format!("conflict with \"{manager}\"")});
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": 409,
        "reason": "Conflict", "details": {"causes": [cause]},
        "message": format!("Apply failed with 1 conflict: conflict with \"{manager}\": .spec.steps"),
    });
    (409, "application/json", body.to_string())
}

fn definite() -> Vec<Said> {
    let denied = "admission webhook \"w.example.com\" denied the request: no label";
    let invalid = "PipelineRun.tekton.dev \"one\" is invalid: spec.x: Invalid value: 1";
    let format = "the body of the request was in an unknown format";
    vec![
        status(400, "BadRequest", "strict decoding error: unknown field \"spec.x\""),
        status(422, "Invalid", invalid),
        status(413, "RequestEntityTooLarge", "Request entity too large: limit is 3145728"),
        status(415, "UnsupportedMediaType", format),
        page(413),
        status(403, "Forbidden", denied),
        status(400, "BadRequest", denied),
        status(422, "", denied),
    ]
}

/// Puts a deployer before each answer, at its check and at its apply; how many were tried.
async fn in_their_columns(server: &ApiServer, deployer: &impl Deployer) -> usize {
    assert!(deployer.check(&plan()).await.unwrap().refused.is_empty());
    let mut tried = 0;
    for (wanted, (code, content_type, body)) in &said() {
        server.faults().answer_writes(*code, content_type, body);
        let check = checked(deployer).await;
        assert_eq!(column(&check), *wanted, "{code} {body}: {check:?}");
        let apply = applied(deployer).await;
        assert_eq!(column(&apply), *wanted, "{code} {body}: {apply:?}");
        tried += 2;
    }
    server.faults().heal();
    server.faults().drop_writes_after(0);
    let reset = applied(deployer).await;
    assert_eq!(column(&reset), Column::Waits, "{reset:?}");
    server.faults().heal();
    tried
}

async fn applied(deployer: &impl Deployer) -> DeployError {
    let done = deployer.apply(&plan(), &Checked::default()).await;
    done.map_or_else(|error| error, |changes| changes.error.unwrap())
}

#[tokio::test]
async fn each_deployer_puts_what_a_server_says_into_the_same_columns() {
    let (server, home) = (ApiServer::start(), tempfile::tempdir().unwrap());
    let kubeconfig = Some(server.kubeconfig(home.path()));
    let settings = KubectlSettings::new(Redactor::new());
    let kubectl = Kubectl::new(KubectlSettings { kubeconfig: kubeconfig.clone(), ..settings });
    let native = NativeSettings { kubeconfig, ..NativeSettings::new(Redactor::new()) };
    let tried = in_their_columns(&server, &kubectl.unwrap()).await
        + in_their_columns(&server, &Native::new(native)).await;
    let all = said();
    let number = |wanted| all.iter().filter(|(column, _)| *column == wanted).count();
    let seen = format!(
        "{} answers over HTTP ({} wait, {} are counted, {} definite) at check and apply, by kubectl and natively, {tried} in \
         all, and a reset: 0 in the wrong column",
        all.len(),
        number(Column::Waits),
        number(Column::Counted),
        number(Column::Definite)
    );
    kept(57, "told by a server", &seen);
}
