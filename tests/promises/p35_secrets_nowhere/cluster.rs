//! A kubectl that says what it was told: the kubeconfig's token, what is lent to runs, what Secrets hold.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use fastrand::Rng;
use sentry_core::deployer::{Checked, Cluster as _, Deployer as _, Retire, RetireHow};
use sentry_core::plan::{GitAuth, Plan};
use sentry_core::secret::Secret;
use sentry_deploy::{Kubectl, KubectlSettings};
use sentry_process::Output;
use sentry_process::stage::{Call, Stage};
use sentry_tests::judge::canaries::canary;
use sentry_tests::judge::scene::Scene;
use serde_json::json;

use super::{Logged, Secrets, Tally, told};

/// What the next programs say; the version is told truly.
struct Script {
    stdout: String,
    stderr: String,
    /// So many calls are answered well before.
    good: usize,
}

impl Script {
    fn answer(&mut self, call: &Call) -> Output {
        let has = |word: &str| call.args.iter().any(|arg| arg.to_str() == Some(word));
        if has("--client") {
            return Output::of(0, r#"{"clientVersion":{"minor":"32"}}"#, "");
        }
        if self.good > 0 {
            self.good -= 1;
            return Output::of(0, "", "");
        }
        Output::of(1, self.stdout.as_str(), self.stderr.as_str())
    }
}

fn stderr(secrets: &Secrets, rng: &mut Rng) -> String {
    let mut text = String::new();
    for _ in 0..rng.usize(1..4) {
        // Long enough to be cut somewhere in a secret.
        let padding = "x ".repeat([0, 0, 900, 980, 1000, 1010, 1020][rng.usize(..7)]);
        let quote = secrets.quote(rng);
        text += &match rng.u8(..8) {
            0 => format!(
                "Error from server (Forbidden): {padding}pods is forbidden: User \"{quote}\" cannot\n"
            ),
            1 => format!(
                "Error from server (BadRequest): error when creating \"STDIN\": {padding}{quote}\n"
            ),
            2 => format!("error: You must be logged in to the server ({padding}{quote})\n"),
            3 => format!(
                "The TaskRun \"one\" is invalid: {padding}spec: Invalid value: \"{quote}\"\n"
            ),
            4 => format!(
                "Unable to connect to the server: Get \"https://{quote}/api\": {padding}dial tcp\n"
            ),
            5 => format!("error: exec plugin: {padding}{quote}\n"),
            6 => format!("E0101 request.go:1] Response Body: {padding}{quote}\n{quote}\n"),
            _ => format!(
                "Warning: {quote}\nerror: {padding}{quote} {{\"kind\":\"Secret\",\"data\":{{\"a\":\"{quote}\"}}}}\n"
            ),
        };
    }
    text
}

/// A Secret of B's, and a run that uses one that is lent to it.
fn plan(scene: &Scene) -> Plan {
    let own = json!(canary("own"));
    let documents = format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: one}}\nstringData: {{a: {own}}}\n---\n\
         apiVersion: tekton.dev/v1\nkind: TaskRun\nmetadata: {{name: two}}\nspec: {{}}\n"
    );
    let mut plan = scene.plan(scene.prepare(&[("a.yaml", documents.as_bytes())]));
    assert_eq!(plan.objects.len(), 2, "{plan:?}");
    let users = plan.objects.iter().filter(|o| o.is_run()).map(|o| o.object.clone()).collect();
    let lent = canary("lent");
    plan.git_auth.push(GitAuth {
        name: "lent".to_owned(),
        namespace: "qa".to_owned(),
        json: json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "lent", "namespace": "qa"}}),
        data: [
            ("git-provider-token".to_owned(), Secret::new(lent.clone())),
            (".git-credentials".to_owned(), Secret::new(format!("https://git:{lent}@host/a\n"))),
        ]
        .into(),
        users,
    });
    plan
}

async fn fail(kubectl: &Kubectl, plan: &Plan, question: u8) -> Vec<String> {
    let mut errors = Vec::new();
    let mut tell =
        |error: sentry_core::deployer::DeployError| errors.push(told(&error, error.hint()));
    let run =
        ["tekton.dev/v1".to_owned(), "TaskRun".to_owned(), plan.objects[1].object.name.clone()];
    match question {
        0 | 1 => kubectl.check(plan).await.err().into_iter().for_each(&mut tell),
        2 | 3 => match kubectl.apply(plan, &Checked::default()).await {
            Ok(changes) => {
                if let Some(error) = changes.error.clone() {
                    tell(error);
                }
                errors.push(format!("{changes:?}"));
            }
            Err(error) => tell(error),
        },
        4 | 5 => {
            let how = if question == 4 { RetireHow::Cancel } else { RetireHow::Delete };
            let timeout = Duration::from_secs(60);
            let (cluster, runs) = (plan.cluster.clone(), vec![run.into()]);
            let asked = kubectl.retire(&Retire { cluster, runs, how, timeout }).await;
            asked.err().into_iter().for_each(&mut tell);
        }
        6 => match kubectl.diff(plan).await {
            Ok(diffs) => errors.push(format!("{} differences", diffs.len())),
            Err(error) => tell(error),
        },
        _ => match kubectl.probe(&plan.cluster, true).await {
            Ok(answers) => errors.push(format!("{answers:?}")),
            Err(error) => tell(error),
        },
    }
    errors
}

pub(super) fn run(all: usize) -> Tally {
    let (secrets, logged, mut rng) = (Secrets::new(), Logged::default(), Rng::with_seed(36));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let dir = tempfile::TempDir::new().unwrap();
    let kubeconfig = dir.path().join("config");
    let user = json!({"users": [{"name": "a", "user": {"token": canary("kubeconfig")}}]});
    std::fs::write(&kubeconfig, user.to_string()).unwrap();
    let script =
        Rc::new(RefCell::new(Script { stdout: String::new(), stderr: String::new(), good: 0 }));
    let _stage = Stage::new({
        let script = Rc::clone(&script);
        move |call| script.borrow_mut().answer(call)
    });
    let _listening = logged.listen();
    let (scene, mut tally) = (Scene::default(), Tally::default());
    let plan = plan(&scene);
    for _ in 0..all {
        let redactor = secrets.redactor();
        // What is lent is a forge's, which made it known.
        for kind in ["token", "proxy", "lent"] {
            redactor.learn(&Secret::new(canary(kind)));
        }
        let question = rng.u8(..8);
        // Who does not handle B's Secret is told nothing of it.
        if ![0, 1, 2, 3, 6].contains(&question) {
            redactor.learn(&Secret::new(canary("own")));
        }
        let mut settings = KubectlSettings::new(redactor);
        settings.kubeconfig = Some(kubeconfig.clone());
        let kubectl = Kubectl::new(settings).unwrap();
        *script.borrow_mut() = Script {
            stdout: secrets.quote(&mut rng),
            stderr: stderr(&secrets, &mut rng),
            good: rng.usize(..3),
        };
        let mut errors = runtime.block_on(fail(&kubectl, &plan, question));
        errors.push(format!("{kubectl:?} {:?}", plan.git_auth));
        tally.judge(&secrets, &errors, &logged.take());
        tally.errors -= 1;
    }
    tally
}
