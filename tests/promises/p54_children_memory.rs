//! 54: objects of a few megabytes that unfold to more than a machine has. Wherever they stand, and whatever the server: no
//! process of Sentry's takes more memory than it may, the delivery ends by a reason that names the place and the limit, and
//! a watch beside it is delivered.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use sentry_core::clock::Timestamp;
use sentry_tests::gitserver::GitOptions;
use sentry_tests::liar::{GitLiar, Lies, Pack};
use sentry_tests::processes;
use sentry_tests::promise::{AtMost, cases, kept, percentile_95};
use sentry_tests::repo::{BareRepo, Entry};
use sentry_tests::road::{FIXED, Fetch, Road};
use sentry_tests::strace::Strace;

use crate::p31_hostile_repositories::delta_bomb;
use crate::p38_repo_cap::bytes_below;

/// What no process may have, in KiB.
const MOST: u64 = 256 << 10;
const MIB: usize = 1 << 20;
/// How much longer the pushes of others wait for their runs.
const BESIDE: AtMost = AtMost::times(1.2);
/// How long 95 of 100 pushes wait at most until a host on the network is asked: by the shortest interval there is.
const ASKED: Duration = Duration::from_secs(57);

/// Where the large object stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    CommitOfA,
    TagForA,
    CommitOfB,
    TagForB,
    RootOfB,
    Directory,
    Below,
    Manifest,
    /// What a delta unfolds to: a commit, a tree, a manifest, a tag, in git's numbers.
    Delta(u8),
}

const PLACES: [Place; 12] = [
    Place::CommitOfA,
    Place::TagForB,
    Place::RootOfB,
    Place::Manifest,
    Place::Delta(1),
    Place::Below,
    Place::CommitOfB,
    Place::TagForA,
    Place::Directory,
    Place::Delta(2),
    Place::Delta(3),
    Place::Delta(4),
];

/// How B is reached; A always over HTTP with parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    HttpInParts,
    HttpWhole,
    /// As the first, by the git program.
    Program,
    File,
}

const WAYS: [Way; 4] = [Way::HttpInParts, Way::HttpWhole, Way::Program, Way::File];

/// The same byte so many MiB long, after a head.
fn long(head: Vec<u8>, mib: usize) -> impl Iterator<Item = Vec<u8>> {
    std::iter::once(head).chain(std::iter::repeat_n(vec![b'x'; MIB], mib))
}

fn commit(repo: &BareRepo, mib: usize) -> String {
    let tree = repo.raw_tree(&[]);
    let who = "Ada <ada@example.test> 1700000000 +0000";
    let head = format!("tree {tree}\nauthor {who}\ncommitter {who}\n\n");
    repo.raw_object("commit", long(head.into_bytes(), mib))
}

fn tag(repo: &BareRepo, mib: usize) -> String {
    let sha = repo.branch_at("main").unwrap();
    let head = format!("object {sha}\ntype commit\ntag x\ntagger Ada <a@b> 1 +0000\n\n");
    repo.raw_object("tag", long(head.into_bytes(), mib))
}

/// A tree of one file many times over.
fn tree(repo: &BareRepo, mib: usize) -> String {
    let mut entry = b"100644 a-name-of-a-file.yaml\0".to_vec();
    let blob = repo.blob("a: 1\n");
    let byte = |at: usize| u8::from_str_radix(&blob[at..at + 2], 16).unwrap();
    entry.extend((0..40).step_by(2).map(byte));
    let block = entry.repeat(MIB / entry.len() + 1);
    repo.raw_object("tree", std::iter::repeat_n(block, mib))
}

/// Makes A or B hostile, with a new head of `main`.
fn arm(road: &Road, b: &BareRepo, place: Place, mib: usize) {
    let root =
        |entries: &[(&str, &[u8], &str)]| b.commit_tree("main", &b.raw_tree(entries), "hostile");
    match place {
        Place::CommitOfA => road.a.force("main", &commit(&road.a, mib)),
        Place::TagForA => road.a.point("main", &tag(&road.a, mib)),
        Place::CommitOfB => b.force("main", &commit(b, mib)),
        Place::TagForB => b.point("main", &tag(b, mib)),
        Place::RootOfB => drop(b.commit_tree("main", &tree(b, mib), "hostile")),
        Place::Directory => drop(root(&[("40000", b".tekton", &tree(b, mib))])),
        Place::Below => {
            let below = b.raw_tree(&[("40000", b"sub", &tree(b, mib))]);
            root(&[("40000", b".tekton", &below)]);
        }
        Place::Manifest => {
            let blob = b.raw_object("blob", long(b"a: ".to_vec(), mib));
            root(&[("40000", b".tekton", &b.raw_tree(&[("100644", b"a.yaml", &blob)]))]);
        }
        Place::Delta(_) => {}
    }
    if !matches!(place, Place::CommitOfA | Place::TagForA) {
        road.push();
    }
}

/// Looks, again and again, at the memory of every process that belongs to a home directory.
struct Scales {
    over: Arc<AtomicBool>,
    looks: JoinHandle<BTreeMap<String, u64>>,
}

impl Scales {
    fn start(home: String) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&over);
        let looks = std::thread::spawn(move || {
            let mut peaks = BTreeMap::new();
            while !ended.load(Ordering::Relaxed) {
                for process in processes::marked(&home) {
                    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id));
                    let peak = status.ok().and_then(|text| high_water(&text)).unwrap_or(0);
                    let name = process.words.split(' ').take(2).collect::<Vec<_>>().join(" ");
                    let most = peaks.entry(name).or_insert(0);
                    *most = peak.max(*most);
                }
                std::thread::sleep(Duration::from_millis(2));
            }
            peaks
        });
        Self { over, looks }
    }

    /// The most that any process with these first words had, in KiB.
    fn read(self) -> BTreeMap<String, u64> {
        self.over.store(true, Ordering::Relaxed);
        self.looks.join().unwrap()
    }
}

fn high_water(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The configuration of the hostile watch and, beside it, of an honest one.
fn configure(road: &Road, b: &str) {
    road.configure_b(b, "max_retries: 1\n    timeout: 90");
    let file = road.sandbox.work().join("sentry.yaml");
    let config = std::fs::read_to_string(&file).unwrap();
    let kubeconfig = road.cluster.kubeconfig(road.sandbox.root());
    let honest = format!(
        "  - name: honest\n    source: {{forge: plain, url: '{}', branches: [main]}}\n    \
         manifests: {{forge: plain, url: '{}', branch: main}}\n    \
         cluster: {{context: default, namespace: qa, kubectl: {{kubeconfig: '{}'}}}}\n",
        road.git.url("c.git"),
        road.git.url("b.git"),
        kubeconfig.display()
    );
    std::fs::write(&file, format!("{config}{honest}")).unwrap();
}

/// How long the newest delivery of the honest watch took until its objects were acknowledged.
fn took(road: &Road) -> Duration {
    let history = road.json(&["history", "honest", "-o", "json"]);
    let newest = &history["deliveries"][0];
    let at = |name: &str| newest[name].as_str().unwrap().parse::<Timestamp>().unwrap();
    at("following_since").duration_since(at("started")).unsigned_abs()
}

/// What one delivery came to.
struct Seen {
    /// The most memory of any process, in KiB.
    most: u64,
    /// What was said of the hostile delivery.
    error: String,
    /// What the honest watch's took before, with nothing hostile beside it, and then.
    usual: Duration,
    beside: Duration,
}

/// One delivery from the hostile place, with an honest one beside it.
fn deliver(
    road: &mut Road,
    c: &BareRepo,
    number: usize,
    place: Place,
    way: Way,
    mib: usize,
) -> Seen {
    let what = format!("{place:?} {way:?}");
    road.fetch = if way == Way::Program { Fetch::Program } else { Fetch::Within };
    let root = road.b.path().parent().unwrap();
    let b = BareRepo::create(root, &format!("b-{number}.git"));
    b.commit_entries("main", &[Entry::file(".tekton/run.yaml", FIXED)], "honest");
    road.git.set(GitOptions { filters: way != Way::HttpWhole, ..GitOptions::default() });
    let pack = match place {
        Place::Delta(kind) => Some(delta_bomb(kind, (mib * MIB) as u64)),
        _ => None,
    };
    let liar =
        pack.map(|pack| GitLiar::start(Lies::about(&"c0ffee00".repeat(5), Pack::Bytes(pack))));
    let url = match (&liar, way) {
        (Some(liar), _) => liar.url("b.git"),
        (None, Way::File) => format!("file://{}", b.path().display()),
        (None, _) => road.git.url(&format!("b-{number}.git")),
    };
    configure(road, &url);
    let first = road.a.commit("main", &[("README.md", &what)], "in order");
    road.a.force("main", &first);
    // The honest head of A is recorded, and whatever was before is forgotten with it.
    let before = c.commit("main", &[("n", &format!("{number}, before"))], "work");
    road.once();
    assert!(road.why(&before).contains("delivered"), "{what}");
    let usual = took(road);
    arm(road, &b, place, mib);
    let honest = c.commit("main", &[("n", &number.to_string())], "work");
    let scales = Scales::start(road.sandbox.root().display().to_string());
    let output = road.once();
    let peaks = scales.read();
    let most = peaks.values().copied().max().unwrap();
    assert!(most <= MOST, "{what}: {peaks:?}");
    let by_git = matches!(way, Way::Program | Way::File);
    assert!(!by_git || peaks.keys().any(|words| words.contains("git")), "{what}: {peaks:?}");
    assert!(output.code.is_some() && !output.stderr.contains("panicked"), "{what}: {output:?}");
    let history = road.json(&["history", "qa", "-o", "json"]);
    let newest = &history["deliveries"][0];
    assert_eq!(newest["state"], "parked", "{what}: {newest}");
    let error = newest["error"].as_str().unwrap().to_owned();
    let limit = ["more memory than the 192 MiB that git may use", "bytes, at most "];
    assert!(limit.iter().any(|limit| error.contains(limit)), "{what}: {error}");
    let head = newest["revision"].as_str().unwrap();
    let named = [head, &b.branch_at("main").unwrap(), "c0ffee00", "a.yaml", "sub"];
    assert!(named.iter().any(|name| error.contains(name)), "{what}: {error}");
    assert!(road.why(&honest).contains("delivered"), "{what}: {}", road.why(&honest));
    assert!(bytes_below(&road.sandbox.root().join("tmp")) < 1 << 20, "{what}: something is left");
    std::fs::remove_dir_all(b.path()).unwrap();
    Seen { most, error, usual, beside: took(road) }
}

#[test]
fn what_unfolds_to_more_than_there_is_ends_by_name_and_harms_nothing_else() {
    let mib = cases(1536, 288);
    let mut road = Road::new();
    let c = BareRepo::create(road.a.path().parent().unwrap(), "c.git");
    c.commit("main", &[("README.md", "C")], "first");
    let all: Vec<_> = PLACES
        .into_iter()
        .flat_map(|place| WAYS.map(|way| (place, way)))
        // A liar's way is its own.
        .filter(|(place, way)| {
            !matches!(place, Place::Delta(_)) || matches!(way, Way::HttpInParts | Way::Program)
        })
        .collect();
    let step = all.len().div_ceil(cases(all.len(), 7));
    configure(&road, &road.git.url("b.git"));
    road.once();
    let mut seen = Vec::new();
    for (number, (place, way)) in all.iter().enumerate().step_by(step) {
        let one = deliver(&mut road, &c, number, *place, *way, mib);
        let Seen { most, error, usual, beside } = &one;
        println!("{place:?} {way:?}: {} MiB; {usual:.1?} and {beside:.1?}; {error}", most >> 10);
        seen.push(one);
    }
    let most = seen.iter().map(|one| one.most).max().unwrap_or_default();
    let usual = percentile_95(seen.iter().map(|one| one.usual));
    let beside = percentile_95(seen.iter().map(|one| one.beside));
    let factor = (ASKED + beside).as_secs_f64() / (ASKED + usual).as_secs_f64();
    BESIDE.hold("the honest watch beside", factor);
    let tried = seen.len();
    let seen = format!(
        "{tried} commits, tags, trees, manifests and deltas that unfold to {mib} MiB, in A and B, from servers that give out \
         parts, whole commits, within the process and by the git program, and from a directory: no process over {} MiB, each parked by a reason with its place and the \
         limit; the watch beside it delivered each time, the p95 of its deliveries was {usual:.1?} alone and {beside:.1?} \
         so, from push to runs at an interval of 60 s {}",
        most >> 10,
        BESIDE.told(factor)
    );
    kept(54, "", &seen);
}

#[test]
fn a_git_whose_memory_can_not_be_limited_is_not_left_running() {
    let mut road = Road::new();
    road.fetch = Fetch::Program;
    assert_eq!(road.once().code, Some(0));
    road.configure_watch("max_retries: 0");
    let head = road.push();
    // As a seccomp profile would have it.
    let strace = Strace::of_the_program("prlimit64").failing_at("prlimit64", "EPERM", 1, 60_000);
    let output = road.sandbox.spawn_under(&strace, ["watch", "--once"]).wait();
    assert!(!output.stderr.contains("panicked"), "{output:?}");
    let why = road.why(&head);
    assert!(why.contains("can't limit the memory of"), "{why} {output:?}");
    assert_eq!(road.cluster.writes(), 0);
}
