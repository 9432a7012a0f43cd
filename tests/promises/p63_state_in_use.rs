//! 63: the state on disk is the one that is used: what becomes of its files under a running agent is said, and nothing is
//! delivered from memory alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sentry_store::SqliteStore;
use sentry_tests::promise::{AtMost, cases, kept};
use sentry_tests::road::Road;
use sentry_tests::sandbox::{Sandbox, eventually};
use sentry_tests::tally::{Tally, tree};
use sentry_tests::wire::Wired;

/// What the agent says.
const SAID: &str = "is no longer in use";
/// How long it may take until it is said.
const LIMIT: AtMost = AtMost::seconds(10.0);
/// Within so much an agent that could deliver would have begun to.
const LONG_ENOUGH: Duration = Duration::from_millis(2500);

/// Something that happens to a state directory.
type Harm = (&'static str, fn(&Path));

fn away(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap().to_owned();
    name.push(".away");
    path.with_file_name(name)
}

fn move_away(path: &Path) {
    fs::rename(path, away(path)).unwrap();
}

fn copy_over(path: &Path) {
    fs::copy(path, away(path)).unwrap();
    fs::rename(away(path), path).unwrap();
}

const HARMS: &[Harm] = &[
    ("directory removed", |dir| fs::remove_dir_all(dir).unwrap()),
    ("database removed", |dir| fs::remove_file(dir.join("state.db")).unwrap()),
    ("log removed", |dir| fs::remove_file(dir.join("state.db-wal")).unwrap()),
    ("lock removed", |dir| fs::remove_file(dir.join("agent.lock")).unwrap()),
    ("directory made anew", |dir| {
        fs::remove_dir_all(dir).unwrap();
        fs::create_dir(dir).unwrap();
    }),
    ("another state in its place", |dir| {
        move_away(dir);
        drop(SqliteStore::open(dir).unwrap());
    }),
    ("database replaced", |dir| copy_over(&dir.join("state.db"))),
    ("log replaced", |dir| copy_over(&dir.join("state.db-wal"))),
    ("database emptied", |dir| fs::write(dir.join("state.db"), "").unwrap()),
    ("a file in the directory's place", |dir| {
        move_away(dir);
        fs::write(dir, "").unwrap();
    }),
    ("a link that leads nowhere", |dir| {
        move_away(dir);
        std::os::unix::fs::symlink(dir.join("nowhere"), dir).unwrap();
    }),
];

/// Files that come back as they were: what is moved, from where.
const MOVED: &[&str] = &["", "state.db", "state.db-wal", "state.db-shm", "agent.lock"];

/// A road whose agent serves, and keeps its state here.
struct Site {
    road: Road,
    served: Wired,
    state: PathBuf,
    heads: Vec<String>,
}

impl Site {
    fn start() -> Self {
        let files = tree();
        let files: Vec<_> = files.iter().map(|(path, text)| (*path, &**text)).collect();
        let mut road = Road::with(&files);
        let state = road.sandbox.root().join("state");
        road.sandbox.env("SENTRY_STATE_DIR", &state);
        assert_eq!(road.once().code, Some(0));
        let served = Wired::start(&road.sandbox, &[]);
        eventually("it is ready", || served.get("/readyz").0 == 200);
        Self { road, served, state, heads: Vec::new() }
    }

    /// How long it takes until it is said; then nothing is sent for a push, and nobody calls it ready.
    fn harm(&mut self, what: &str, harm: impl FnOnce(&Path)) -> Duration {
        let before = self.served.agent.stderr_so_far().matches(SAID).count();
        let began = Instant::now();
        harm(&self.state);
        eventually(what, || {
            self.served.agent.stderr_so_far().matches(SAID).count() > before
                && self.served.get("/readyz").0 == 503
        });
        let took = began.elapsed();
        LIMIT.hold_time(what, took);
        let writes = self.road.cluster.writes();
        self.heads.push(self.road.push());
        std::thread::sleep(LONG_ENOUGH);
        assert_eq!(self.road.cluster.writes(), writes, "{what}: something is sent");
        assert_eq!(self.served.get("/livez").0, 200, "{what}: a restart would begin anew");
        took
    }

    fn goes_on(&self, what: &str) {
        eventually(what, || self.served.get("/readyz").0 == 200);
        eventually(what, || Tally::of(&self.road.cluster).lost(&self.heads) == 0);
        assert_eq!(Tally::of(&self.road.cluster).doubled(), 0, "{what}");
    }
}

#[test]
fn a_state_that_is_gone_is_said_and_nothing_is_delivered_without_it() {
    let mut slowest = Duration::ZERO;
    let all = cases(HARMS.len(), 3);
    for (what, harm) in &HARMS[..all] {
        let mut site = Site::start();
        slowest = slowest.max(site.harm(what, harm));
        // It never begins a state of its own accord: only a start does.
        assert!(!matches!(*what, "directory removed") || !site.state.exists(), "{what}");
    }
    let names: Vec<_> = HARMS[..all].iter().map(|(name, _)| *name).collect();
    kept(
        63,
        "gone for good",
        &format!(
            "{all} ways ({}): said within {}, /readyz 503, 0 writes to the cluster",
            names.join(", "),
            LIMIT.told_time(slowest)
        ),
    );
}

#[test]
fn a_state_that_comes_back_goes_on_with_everything_that_was_pushed_meanwhile() {
    let mut site = Site::start();
    let (mut slowest, all) = (Duration::ZERO, cases(50, 2));
    for name in MOVED.iter().cycle().take(all) {
        let moved =
            |state: &Path| if name.is_empty() { state.to_owned() } else { state.join(name) };
        let file = moved(&site.state);
        slowest = slowest.max(site.harm(name, |state| move_away(&moved(state))));
        fs::rename(away(&file), &file).unwrap();
        site.goes_on(name);
    }
    assert_eq!(site.served.agent.term().code, Some(0));
    kept(
        63,
        "moved and back",
        &format!(
            "{all} times the directory or one of its files was moved away and back: said within {}, 0 writes meanwhile, then every \
             head delivered once",
            LIMIT.told_time(slowest)
        ),
    );
}

#[test]
fn no_command_takes_a_state_that_it_cant_look_at_for_none() {
    let mut sandbox = Sandbox::new();
    sandbox.write_config(
        "forges: {plain: {type: git}}\nwatches:\n  - name: qa\n    \
         source: {forge: plain, url: 'file:///nowhere/a.git', branches: main}\n    \
         manifests: {forge: plain, url: 'file:///nowhere/a.git', branch: main}\n    \
         cluster: {namespace: qa, deployer: dry-run}\n",
    );
    let root = sandbox.root().to_owned();
    let (nowhere, file) = (root.join("nowhere"), root.join("file"));
    fs::write(&file, "").unwrap();
    fs::create_dir(root.join("state")).unwrap();
    std::os::unix::fs::symlink(&nowhere, root.join("state/state.db")).unwrap();
    std::os::unix::fs::symlink(&nowhere, root.join("linked")).unwrap();
    let commit = "a".repeat(40);
    let commands: &[&[&str]] = &[
        &["status"],
        &["status", "--check"],
        &["history"],
        &["why", &commit],
        &["show", "01hf7y"],
        &["trigger", "qa"],
        &["retry", "01hf7y"],
        &["suspend", "qa"],
        &["resume", "qa"],
        &["explain", "qa"],
        &["diff", "qa"],
        &["watch", "--once"],
    ];
    let places = [root.join("state"), root.join("linked"), file.join("state")];
    for place in &places {
        sandbox.env("SENTRY_STATE_DIR", place);
        for command in commands {
            let output = sandbox.sentry(*command);
            assert_eq!(output.code, Some(2), "{command:?} {place:?}: {output:?}");
            assert!(output.stderr.contains("the state directory"), "{command:?}: {output:?}");
        }
    }
    assert!(!nowhere.exists());
    kept(
        63,
        "commands",
        &format!(
            "{} commands with {} states that can't be looked at: each says so, none begins another",
            commands.len(),
            places.len()
        ),
    );
}
