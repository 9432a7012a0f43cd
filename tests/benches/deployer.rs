//! What a check and an apply take, natively and by kubectl, of 20 and of 100 objects.
//!
//! `cargo bench -p sentry-tests --bench deployer`; with `SENTRY_E2E_KUBECONFIG` on a real API server with Tekton's kinds as
//! well, in a namespace `sentry-bench` that is there.

#![expect(clippy::print_stdout, reason = "a benchmark prints")]
#![expect(clippy::unwrap_used, reason = "a benchmark that can't measure has failed")]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sentry_apiserver::ApiServer;
use sentry_core::clock::Timestamp;
use sentry_core::deployer::Deployer;
use sentry_core::ids::DeliveryId;
use sentry_core::names::ClusterRef;
use sentry_core::plan::{
    COMMIT_LABEL, DELIVERY_LABEL, KEY_ANNOTATION, ObjectRef, Operation, Plan, PlannedObject,
    RunRules,
};
use sentry_core::secret::Redactor;
use sentry_core::watch::ForceConflicts;
use sentry_deploy::{Kubectl, KubectlSettings, Native, NativeSettings};
use serde_json::json;
use tokio::runtime::Runtime;

const HOW: &str = "\
One delivery after another to one cluster, each with labels of its own, so that every object changes: check, then apply. Of
20 objects 10 are Tasks, 9 Pipelines and 1 is a PipelineRun; of 100 there are 50, 49 and 1. Times are medians; CPU is that
of this process and its children per delivery, without the API server's. The first delivery, which connects and asks for the
kinds, stands apart. kubectl is the one in PATH.";
const ROUNDS: usize = 15;

/// So many objects, as the n-th delivery has them.
fn plan(cluster: &ClusterRef, objects: usize, n: usize) -> Plan {
    let delivery = DeliveryId::new(Timestamp::UNIX_EPOCH, n as u128);
    let kind = |at: usize| match at {
        0 => "PipelineRun",
        at if at <= objects / 2 => "Task",
        _ => "Pipeline",
    };
    let planned = |at: usize| {
        let kind = kind(at);
        let run = kind == "PipelineRun";
        let name = if run { format!("bench-{objects}-{n}") } else { format!("bench-{at}") };
        let step = json!({"name": "s", "image": "busybox", "script": "true"});
        let spec = match kind {
            "Task" => json!({"steps": [step]}),
            "Pipeline" => json!({"tasks": [{"name": "unit", "taskRef": {"name": "bench-1"}}]}),
            _ => json!({"pipelineSpec": {"tasks": []}}),
        };
        let key = format!("{delivery}-{name}");
        let object = ObjectRef {
            path: format!("{name}.yaml"),
            document: 1,
            line: 1,
            api_version: "tekton.dev/v1".into(),
            kind: kind.into(),
            namespace: Some(cluster.namespace.to_string()),
            name: name.clone(),
        };
        let labels = json!({DELIVERY_LABEL: delivery.as_str(), COMMIT_LABEL: "c0ffee"});
        let json = json!({
            "apiVersion": "tekton.dev/v1", "kind": kind, "spec": spec,
            "metadata": {"name": name, "namespace": cluster.namespace.as_str(), "labels": labels,
                "annotations": {KEY_ANNOTATION: key}},
        });
        let operation = if run { Operation::Create { key } } else { Operation::Apply };
        PlannedObject { object, operation, json, rules: RunRules::default() }
    };
    // Tasks, Pipelines, then the run.
    let objects = (1..objects).chain([0]).map(planned).collect();
    let (git_auth, timeout) = (Vec::new(), Duration::from_secs(120));
    let force_conflicts = ForceConflicts::default();
    Plan { delivery, cluster: cluster.clone(), force_conflicts, objects, git_auth, timeout }
}

/// The CPU time of this process's threads, but for the API server's, and of its children that ended.
fn cpu() -> Duration {
    let fields = |path: &Path| -> Vec<String> {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let (name, rest) = text.rsplit_once(')').unwrap_or_default();
        let rest = rest.split_whitespace().map(str::to_owned);
        std::iter::once(name.to_owned()).chain(rest).collect()
    };
    let ticks = |fields: &[String], from: usize| -> u64 {
        fields.iter().skip(from).take(2).filter_map(|field| field.parse::<u64>().ok()).sum()
    };
    let threads = std::fs::read_dir("/proc/self/task").unwrap().filter_map(Result::ok);
    let own: u64 = threads
        .map(|thread| fields(&thread.path().join("stat")))
        .filter(|fields| !fields[0].ends_with("(apiserver"))
        .map(|fields| ticks(&fields, 12))
        .sum();
    let children = ticks(&fields(Path::new("/proc/self/stat")), 14);
    // A tick is a hundredth of a second on Linux.
    Duration::from_millis((own + children) * 10)
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn measure(
    way: &str,
    runtime: &Runtime,
    deployer: &impl Deployer,
    cluster: &ClusterRef,
    objects: usize,
    from: usize,
) {
    let mut times: Vec<(Duration, Duration)> = Vec::new();
    let mut begun = Duration::ZERO;
    for n in 0..=ROUNDS {
        if n == 1 {
            begun = cpu();
        }
        let plan = plan(cluster, objects, from + n);
        let started = Instant::now();
        let checked = runtime.block_on(deployer.check(&plan)).unwrap();
        let check = started.elapsed();
        assert!(checked.refused.is_empty(), "{:?}", checked.refused);
        let started = Instant::now();
        let changes = runtime.block_on(deployer.apply(&plan, &checked)).unwrap();
        assert!(changes.is_complete(), "{changes:?}");
        times.push((check, started.elapsed()));
    }
    let spent = (cpu() - begun) / u32::try_from(ROUNDS).unwrap();
    let first = times.remove(0);
    let median = |of: &dyn Fn(&(Duration, Duration)) -> Duration| {
        let mut all: Vec<_> = times.iter().map(of).collect();
        all.sort();
        millis(all[all.len() / 2])
    };
    println!(
        "{way:10} {objects:>8} {:>9.0} {:>9.1} {:>9.1} {:>9.1} {:>9.1}",
        millis(first.0 + first.1),
        median(&|time| time.0),
        median(&|time| time.1),
        median(&|time| time.0 + time.1),
        millis(spent)
    );
}

fn compare(what: &str, kubeconfig: PathBuf, namespace: &str, from: usize) {
    println!("\n{what}");
    println!(
        "{:10} {:>8} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "way (ms)", "objects", "first", "check", "apply", "both", "CPU"
    );
    let runtime = Runtime::new().unwrap();
    let cluster = ClusterRef {
        deployer: "bench".into(),
        context: None,
        namespace: namespace.parse().unwrap(),
    };
    let kubeconfig = Some(kubeconfig);
    for (at, objects) in [20, 100].into_iter().enumerate() {
        let native = NativeSettings::new(Redactor::new());
        let native = Native::new(NativeSettings { kubeconfig: kubeconfig.clone(), ..native });
        let kubectl = KubectlSettings::new(Redactor::new());
        let kubectl = KubectlSettings { kubeconfig: kubeconfig.clone(), ..kubectl };
        let kubectl = Kubectl::new(kubectl).unwrap();
        let from = from + at * 1_000;
        measure("native", &runtime, &native, &cluster, objects, from);
        measure("kubectl", &runtime, &kubectl, &cluster, objects, from + 500);
    }
}

fn main() {
    println!("{HOW}");
    let (server, home) = (ApiServer::start(), tempfile::tempdir().unwrap());
    compare("An API server in memory", server.kubeconfig(home.path()), "qa", 0);
    let real = std::env::var_os("SENTRY_E2E_KUBECONFIG").unwrap_or_default();
    if !real.is_empty() {
        // Names of their own, whatever an earlier run left.
        let from = std::process::id() as usize * 10_000;
        compare("A real API server", real.into(), "sentry-bench", from);
    }
}
