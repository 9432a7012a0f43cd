//! 42: the API server grants the Role that is shipped and nothing else, and notes what is used of it: nothing is missing
//! on the whole road, and nothing of it goes unused.

use std::collections::BTreeSet;

use sentry_apiserver::{ApiServer, Outcome};
use sentry_tests::gitserver::{GitOptions, GitServer};
use sentry_tests::promise::kept;
use sentry_tests::repo::BareRepo;
use sentry_tests::road::{By, Road, TOKEN};
use sentry_tests::sandbox::eventually;
use sentry_tests::tls::Tls;
use serde_json::Value;

/// A verb and a resource with its group.
pub(crate) type Right = (String, String);

const ROLE: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/kubernetes/targets/role/role.yaml");

/// The rights of a Role's rules.
fn rights(rules: &Value) -> BTreeSet<Right> {
    let words = |value: &Value| -> Vec<String> {
        value.as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect()
    };
    let mut rights = BTreeSet::new();
    for rule in rules.as_array().unwrap() {
        for group in words(&rule["apiGroups"]) {
            for resource in words(&rule["resources"]) {
                let dot = if group.is_empty() { "" } else { "." };
                let full = format!("{resource}{dot}{group}");
                rights.extend(words(&rule["verbs"]).into_iter().map(|verb| (verb, full.clone())));
            }
        }
    }
    rights
}

/// The Role that is shipped.
pub(crate) fn shipped() -> BTreeSet<Right> {
    let text = std::fs::read_to_string(ROLE).unwrap();
    let documents =
        text.split("\n---\n").map(|text| serde_saphyr::from_str::<Value>(text).unwrap());
    rights(&documents.into_iter().find(|document| document["kind"] == "Role").unwrap()["rules"])
}

/// The rule that the file says to add for lent credentials.
fn shipped_for_lending() -> BTreeSet<Right> {
    let text = std::fs::read_to_string(ROLE).unwrap();
    let lines = text.lines().filter_map(|line| line.strip_prefix("  # "));
    let rule: Vec<_> = lines.skip_while(|line| !line.starts_with("- ")).collect();
    rights(&serde_saphyr::from_str::<Value>(&rule.join("\n")).unwrap())
}

pub(crate) fn grant(cluster: &ApiServer, rights: &BTreeSet<Right>) {
    let rights: Vec<_> = rights.iter().map(|(v, r)| (v.as_str(), r.as_str())).collect();
    cluster.faults().grant_only(&rights);
}

/// Requests that were refused for want of a right. Beside an object that is not there kubectl itself asks whether its
/// namespace is, and goes on without an answer.
fn refused(cluster: &ApiServer) -> Vec<String> {
    let requests = cluster.requests();
    let own = |path: &str| path == "/api/v1/namespaces/qa";
    let refused = requests.iter().filter(|request| request.status == 403 && !own(&request.path));
    refused.map(|request| format!("{} {}", request.method, request.path)).collect()
}

const STEP: &str = "apiVersion: tekton.dev/v1beta1\nkind: StepAction\nmetadata: {name: step}\n\
                    spec: {image: busybox, script: 'true'}\n";
const TASK: &str = "apiVersion: tekton.dev/v1\nkind: Task\nmetadata: {name: unit}\n\
                    spec: {steps: [{name: s, ref: {name: step}}]}\n";
const PIPELINE: &str = "apiVersion: tekton.dev/v1\nkind: Pipeline\nmetadata: {name: suite}\n\
                        spec: {tasks: [{name: unit, taskRef: {name: unit}}]}\n";
/// Runs of both kinds; the newest ends the older ones of its branch, and one ended run of each is kept.
const RUNS: &str = "apiVersion: tekton.dev/v1\nkind: KIND\nmetadata:\n  generateName: NAME-\n  annotations:\n    \
                    pipelinesascode.tekton.dev/on-event: push\n    pipelinesascode.tekton.dev/on-target-branch: main\n    \
                    pipelinesascode.tekton.dev/cancel-in-progress: 'true'\n    \
                    pipelinesascode.tekton.dev/max-keep-runs: '1'\nspec: {REF: {name: TARGET}}\n";

fn run(kind: &str, name: &str, reference: &str, target: &str) -> String {
    let text = RUNS.replace("KIND", kind).replace("NAME", name);
    text.replace("REF", reference).replace("TARGET", target)
}

fn runs_of<'a>(road: &'a Road, kind: &'a str) -> impl Fn() -> Vec<String> + 'a {
    let name = |run: &Value| run["metadata"]["name"].as_str().unwrap().to_owned();
    let own = |run: &&Value| run["metadata"]["ownerReferences"].is_null();
    move || road.cluster.objects_of(kind).iter().filter(own).map(name).collect()
}

#[test]
fn the_whole_road_works_with_the_shipped_role_and_uses_all_of_it() {
    let used = By::EACH.map(|by| format!("{} by {by:?}", uses_all_of_the_role(by)));
    kept(42, "the Role", &format!("rights granted: {}; 0 missing, 0 unused", used.join(", ")));
}

/// How many rights there were, all of them used.
fn uses_all_of_the_role(by: By) -> usize {
    let pipeline_run = run("PipelineRun", "smoke", "pipelineRef", "suite");
    let task_run = run("TaskRun", "single", "taskRef", "unit");
    let mut road = Road::by(
        by,
        &[
            (".tekton/step.yaml", STEP),
            (".tekton/task.yaml", TASK),
            (".tekton/pipeline.yaml", PIPELINE),
            (".tekton/smoke.yaml", &pipeline_run),
            (".tekton/single.yaml", &task_run),
        ],
    );
    road.cluster = ApiServer::start();
    road.configure("branches: [main]");
    let shipped = shipped();
    grant(&road.cluster, &shipped);
    assert_eq!(road.once().code, Some(0));
    let online = road.sandbox.sentry(["validate", "--online"]);
    assert_eq!(online.code, Some(0), "{online:?}");

    // What is live is read to be compared; kubectl is made to do so at every apply.
    if by == By::Native {
        let diff = road.sandbox.sentry(["diff", "--branch", "main"]);
        assert_eq!(diff.code, Some(1), "{diff:?}");
    }
    let agent = road.watch();
    let (pipeline_runs, task_runs) = (runs_of(&road, "PipelineRun"), runs_of(&road, "TaskRun"));
    let arrive = |count: usize| {
        road.push();
        eventually("the runs are there", || {
            (pipeline_runs().len(), task_runs().len()) == (count, count)
        });
    };
    arrive(1);
    let active = || road.cluster.active_runs();
    let older = active();
    // The answers of these creates are lost: the runs that exist are read.
    road.cluster.faults().lose_response_of_write(1);
    road.cluster.faults().lose_response_of_write(2);
    arrive(2);
    eventually("the newer commit's runs end the older ones", || {
        active().len() == 2 && older.iter().all(|name| !active().contains(name))
    });
    for name in active() {
        let log = "what went wrong\n";
        let failed = Outcome::Failed { task: "unit", step: "test", exit_code: 1, log };
        assert!(road.cluster.finish_run(&name, failed));
    }
    eventually("only one ended run of each is kept", || {
        (pipeline_runs().len(), task_runs().len()) == (1, 1)
    });
    assert_eq!(agent.term().code, Some(0));
    assert_eq!(refused(&road.cluster), Vec::<String>::new());
    let used: BTreeSet<Right> = road.cluster.rights_used().into_keys().collect();
    assert_eq!(used, shipped);
    used.len()
}

#[test]
fn lending_a_credential_takes_exactly_the_rule_that_is_shipped_for_it() {
    let used = By::EACH.map(|by| format!("{} by {by:?}", uses_all_of_the_rule(by)));
    kept(
        42,
        "the rule for lent credentials",
        &format!("rights granted: {}; 0 missing, 0 unused", used.join(", ")),
    );
}

/// How many rights there were, all of them used.
fn uses_all_of_the_rule(by: By) -> usize {
    let repos = tempfile::tempdir().unwrap();
    let (a, b) = (BareRepo::create(repos.path(), "a.git"), BareRepo::create(repos.path(), "b.git"));
    a.commit("main", &[("README.md", "A")], "first");
    let uses = "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata: {generateName: clone-}\n\
                spec: {pipelineRef: {name: suite}, workspaces: [{name: w, secret: {secretName: '{{ git_auth_secret }}'}}]}\n";
    b.commit(
        "main",
        &[
            (".tekton/p.yaml", PIPELINE),
            (".tekton/t.yaml", TASK),
            (".tekton/s.yaml", STEP),
            (".tekton/r.yaml", uses),
        ],
        "tests",
    );
    let tls = Tls::new();
    let git = GitServer::start(repos.path(), GitOptions::default(), Some(tls.server()));
    git.tokens().grant(TOKEN);
    let road = Road::new();
    let kubeconfig = road.cluster.kubeconfig(road.sandbox.root());
    road.sandbox.write_config(&format!(
        "forges:\n  plain: {{type: git, token: '${{GIT_TOKEN}}', ca_file: '{}'}}\nwatches:\n  - name: qa\n    \
         polling_interval: 1\n    git_auth_secret: {{per_run: true}}\n    max_retries: 0\n    \
         source: {{forge: plain, url: '{}', branches: [main]}}\n    \
         manifests: {{forge: plain, url: '{}', branch: main}}\n    \
         cluster: {{context: default, namespace: qa, {}}}\n",
        tls.ca_pem().display(),
        git.url("a.git"),
        git.url("b.git"),
        by.settings(&kubeconfig)
    ));
    let lending = shipped_for_lending();
    let all: BTreeSet<Right> = shipped().union(&lending).cloned().collect();
    grant(&road.cluster, &all);
    let first = road.once();
    assert_eq!(first.code, Some(0), "{first:?}");
    a.commit("main", &[("README.md", "B")], "work");
    let made = road.once();
    assert_eq!(made.code, Some(0), "{made:?}");
    assert_eq!((road.runs().len(), road.cluster.objects_of("Secret").len()), (1, 1), "{made:?}");
    // Where no run comes about, what was lent is taken back.
    a.commit("main", &[("README.md", "C")], "work");
    road.cluster.faults().drop_writes_after(4);
    assert_ne!(road.once().code, Some(0));
    assert_eq!(road.runs().len(), 1, "the second run did not come about");
    road.cluster.faults().heal();
    grant(&road.cluster, &all);
    assert_eq!(road.once().code, Some(0));
    assert_eq!(refused(&road.cluster), Vec::<String>::new());
    let used: BTreeSet<Right> = road
        .cluster
        .rights_used()
        .into_keys()
        .filter(|(_, resource)| resource == "secrets")
        .collect();
    assert_eq!(used, lending);
    used.len()
}
