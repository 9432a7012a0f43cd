//! What takes more than one exchange over a link: a directory is fetched, kubectl checks, applies and follows. Only wall time shows
//! how long they live, which a full run is held to.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures::{StreamExt as _, stream};
use sentry_apiserver::{ApiServer, Outcome};
use sentry_core::clock::Timestamp;
use sentry_core::deployer::{Checked, Deployer as _, FollowQuery, RunChange};
use sentry_core::forge::{ForgeError, ForgePorts, TreeFile, TreeLimits, TreeQuery};
use sentry_core::ids::DeliveryId;
use sentry_core::names::ClusterRef;
use sentry_core::plan::{
    COMMIT_LABEL, DELIVERY_LABEL, KEY_ANNOTATION, ObjectRef, Operation, Plan, PlannedObject,
    RunRules,
};
use sentry_core::repo::CommitSha;
use sentry_core::retry::Retry;
use sentry_core::secret::Redactor;
use sentry_core::testing::sample;
use sentry_core::watch::ForceConflicts;
use sentry_deploy::{Kubectl, KubectlSettings};
use sentry_tests::http::Fault;
use sentry_tests::promise::{AtMost, cases, kept};
use sentry_tests::proxy::{FaultProxy, Link};
use serde_json::json;
use tempfile::TempDir;

use crate::forges::{Site, Way, token};

/// What each operation has.
const DEADLINE: Duration = Duration::from_secs(2);
/// What an operation may take: its deadline and the promised second.
const LIMIT: AtMost = AtMost::seconds(3.0);
/// For what has no deadline of its own here.
const PATIENCE: Duration = Duration::from_secs(120);
/// Operations that are tried at a time.
const AT_ONCE: usize = 4;

/// The worst ones first.
fn links() -> Vec<Link> {
    let mut links = vec![
        Link::Hang,
        Link::HalfOpenAfter(150),
        Link::ResetAfter(60),
        Link::CutAfter(200),
        Link::Drip { bytes: 1, every: Duration::from_millis(250) },
        Link::Garbage,
        Link::Latency(Duration::from_secs(30)),
        Link::DropLast(12),
        Link::HalfOpenAfter(0),
        Link::ResetAfter(0),
        Link::CutAfter(0),
        Link::CutAfter(400),
        Link::Answers(Fault::Html),
        Link::Answers(Fault::status(503)),
    ];
    links.truncate(cases(links.len(), 4));
    links
}

async fn fetch(
    forge: &ForgePorts,
    origin: &str,
    commit: &str,
    timeout: Duration,
) -> Result<Vec<TreeFile>, ForgeError> {
    let repo = format!("{origin}/old/app").parse().unwrap();
    let (dir, limits) = (".tekton".parse().unwrap(), TreeLimits::default());
    let query = TreeQuery { repo, revision: sample::at("main", commit), dir, limits, timeout };
    Ok(forge.source.tree(&query).await?.files)
}

/// A fetch over this link, and one over a whole link after it; how long the first took.
async fn fetch_over(way: Way, link: Link) -> Duration {
    let (site, what) = (Site::start(way), format!("{way:?} {link:?}"));
    let (commit, own) = (site.commits[1].clone(), site.http().origin());
    let truth = fetch(&way.client(&own, token()), &own, &commit, PATIENCE).await.unwrap();
    let proxy = FaultProxy::to(site.http().port());
    let client = way.client(&proxy.origin(), token());
    proxy.set(link);
    let begun = Instant::now();
    let files = fetch(&client, &proxy.origin(), &commit, DEADLINE).await;
    let took = begun.elapsed();
    if let Ok(files) = files {
        assert_eq!(files, truth, "{what}");
    }
    proxy.turn(Link::Fine);
    let files = fetch(&client, &proxy.origin(), &commit, PATIENCE).await;
    assert_eq!(files.unwrap_or_else(|e| panic!("{what}: {e:?}")), truth, "{what}");
    took
}

/// The longest of all, beside what it may take.
fn longest(tooks: &[Duration]) -> String {
    let longest = tooks.iter().max().copied().unwrap();
    LIMIT.hold_time(&format!("{tooks:?}"), longest);
    LIMIT.told_time(longest)
}

#[tokio::test]
async fn a_fetch_of_a_directory_over_a_bad_link_ends_in_time_and_the_next_one_works() {
    let ways = [Way::Plain, Way::Program, Way::HubApi, Way::LabApi].into_iter().take(cases(4, 2));
    let all = ways.flat_map(|way| links().into_iter().map(move |link| fetch_over(way, link)));
    let tooks: Vec<Duration> = stream::iter(all).buffered(AT_ONCE).collect().await;
    let seen = format!(
        "{} fetches of a directory, within the process and by git, with a deadline of {} s: the slowest ended after {}; each next one worked",
        tooks.len(),
        DEADLINE.as_secs(),
        longest(&tooks),
    );
    kept(17, "git", &seen);
}

/// A cluster behind a link.
struct Far {
    server: ApiServer,
    proxy: FaultProxy,
    kubectl: Kubectl,
    _home: TempDir,
}

impl Far {
    fn new() -> Self {
        let (server, home) = (ApiServer::start(), TempDir::new().unwrap());
        let proxy = FaultProxy::to(server.port());
        let kubeconfig = server.kubeconfig(home.path());
        let text = std::fs::read_to_string(&kubeconfig).unwrap();
        let led = text.replace(&server.port().to_string(), &proxy.port().to_string());
        std::fs::write(&kubeconfig, led).unwrap();
        let settings = KubectlSettings {
            kubeconfig: Some(kubeconfig),
            watch: Duration::from_secs(2),
            ..KubectlSettings::new(Redactor::new())
        };
        Self { server, proxy, kubectl: Kubectl::new(settings).unwrap(), _home: home }
    }

    /// Checks and applies over a whole link.
    async fn deliver(&self, what: &str) {
        let plan = plan(PATIENCE);
        let checked = self.kubectl.check(&plan).await;
        let checked = checked.unwrap_or_else(|e| panic!("{what}: {e:?}"));
        assert!(checked.refused.is_empty(), "{what}: {checked:?}");
        let changes =
            self.kubectl.apply(&plan, &checked).await.unwrap_or_else(|e| panic!("{what}: {e:?}"));
        assert!(changes.is_complete(), "{what}: {changes:?}");
        assert_eq!(self.server.creates_of("PipelineRun"), ["run"], "{what}");
    }
}

fn commit() -> CommitSha {
    "c0ffee00".repeat(5).parse().unwrap()
}

fn cluster() -> ClusterRef {
    let (deployer, context) = ("deployer".to_owned(), Some("default".to_owned()));
    ClusterRef { deployer, context, namespace: "qa".parse().unwrap() }
}

fn planned(api_version: &str, kind: &str, name: &str, key: Option<&str>) -> PlannedObject {
    let delivery = DeliveryId::new(Timestamp::UNIX_EPOCH, 1);
    let labels = json!({ DELIVERY_LABEL: delivery.as_str(), COMMIT_LABEL: commit().as_str() });
    let mut object = json!({ "apiVersion": api_version, "kind": kind,
        "metadata": { "name": name, "namespace": "qa", "labels": labels }, "spec": {} });
    if let Some(key) = key {
        object["metadata"]["annotations"] = json!({ KEY_ANNOTATION: key });
    }
    PlannedObject {
        object: ObjectRef {
            path: format!("{name}.yaml"),
            document: 1,
            line: 1,
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            namespace: Some("qa".to_owned()),
            name: name.to_owned(),
        },
        operation: key.map_or(Operation::Apply, |key| Operation::Create { key: key.to_owned() }),
        json: object,
        rules: RunRules::default(),
    }
}

/// A task and a run.
fn plan(timeout: Duration) -> Plan {
    Plan {
        delivery: DeliveryId::new(Timestamp::UNIX_EPOCH, 1),
        cluster: cluster(),
        force_conflicts: ForceConflicts::default(),
        objects: vec![
            planned("tekton.dev/v1", "Task", "unit", None),
            planned("tekton.dev/v1", "PipelineRun", "run", Some("key of run")),
        ],
        git_auth: Vec::new(),
        timeout,
    }
}

/// A check and an apply over this link, and both over a whole link after them; how long the longer of the first two took.
async fn deliver_over(link: Link) -> Duration {
    let (far, what) = (Far::new(), format!("{link:?}"));
    far.proxy.set(link);
    let begun = Instant::now();
    let checked = far.kubectl.check(&plan(DEADLINE)).await;
    let check = begun.elapsed();
    assert_eq!(far.server.writes(), 0, "{what}");
    let begun = Instant::now();
    let applied = far.kubectl.apply(&plan(DEADLINE), &Checked::default()).await;
    let apply = begun.elapsed();
    let errors =
        [checked.err(), applied.as_ref().map_or_else(|e| Some(e.clone()), |c| c.error.clone())];
    // What only the link did parks no head.
    let counted = errors.iter().flatten().find(|error| error.retry() != Retry::Backoff);
    assert!(counted.is_none(), "{what}: {counted:?}");
    let complete = applied.as_ref().is_ok_and(|changes| changes.is_complete());
    let made = far.server.creates_of("PipelineRun").len();
    assert!(made <= 1 && (made == 1 || !complete), "{what}: {made} runs, {applied:?}");
    far.proxy.turn(Link::Fine);
    far.deliver(&what).await;
    check.max(apply)
}

#[tokio::test]
async fn a_check_and_an_apply_over_a_bad_link_end_in_time_and_the_next_ones_work() {
    let all = links().into_iter().map(deliver_over);
    let tooks: Vec<Duration> = stream::iter(all).buffered(AT_ONCE).collect().await;
    let seen = format!(
        "{} checks and applies by kubectl with a deadline of {} s: the slowest ended after {}; no error counts against \
         max_retries; each next one worked, and made 1 run",
        2 * tooks.len(),
        DEADLINE.as_secs(),
        longest(&tooks),
    );
    kept(17, "kubectl", &seen);
}

/// A run ends while the link to its cluster is like this; its end is told once the link is whole.
async fn follow_over(link: Link) {
    let (far, what) = (Far::new(), format!("{link:?}"));
    far.deliver(&what).await;
    let kinds = vec![("tekton.dev/v1".to_owned(), "PipelineRun".to_owned())];
    let query =
        FollowQuery { cluster: cluster(), commits: vec![commit()], kinds, known: BTreeSet::new() };
    let follow = || far.kubectl.follow(query.clone()).unwrap();
    let mut stream = follow();
    // As the engine does: where the stream ends, it is followed anew.
    let mut next = async || loop {
        match stream.next().await {
            Some(Ok(change)) => break change,
            Some(Err(_)) | None => stream = follow(),
        }
    };
    while next().await != RunChange::Synced {}
    far.proxy.turn(link);
    assert!(far.server.finish_run("run", Outcome::Succeeded), "{what}");
    tokio::time::sleep(DEADLINE).await;
    far.proxy.turn(Link::Fine);
    let told = async {
        while !matches!(next().await, RunChange::Stands(status) if status.state.is_final()) {}
    };
    tokio::time::timeout(PATIENCE, told).await.unwrap_or_else(|_| panic!("{what}: never told"));
}

#[tokio::test]
async fn a_run_that_ends_while_the_link_is_bad_is_told_once_it_is_whole() {
    let links = links();
    let count = links.len();
    stream::iter(links.into_iter().map(follow_over)).buffered(AT_ONCE).collect::<Vec<()>>().await;
    kept(
        17,
        "following",
        &format!("{count} runs ended while their link was bad: each end was told"),
    );
}
