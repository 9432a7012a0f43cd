//! 23: a program that is killed at each system call of a save, of making the state, and of closing it: what is found is
//! the old state or the new one, never something between, and never the old one after the save was acknowledged.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use sentry_core::store::{Archive as _, OverviewQuery};
use sentry_core::testing::{commit, sample};
use sentry_store::SqliteStore;
use sentry_tests::promise::{cases, kept};

/// Every call that names a file or works on an open one.
const CALLS: &str = "%file,%desc";

/// A program at its work, seen by strace.
struct Work {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
    dir: tempfile::TempDir,
}

impl Work {
    fn begin(work: &str, old: &[(String, Vec<u8>)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (name, bytes) in old.iter().filter(|_| work != "make") {
            std::fs::write(dir.path().join(name), bytes).unwrap();
        }
        let mut child = Command::new(env!("CARGO_BIN_EXE_state-worker"))
            .arg(work)
            .arg(dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = lines.by_ref().map_while(Result::ok).any(|line| line == "ready");
        assert!(ready, "the program gets to its work");
        Self { child, lines, dir }
    }

    /// Lets it work under strace, which may end it; all that it said.
    fn go(&mut self, strace: &[String]) -> Vec<String> {
        let id = self.child.id().to_string();
        let mut strace = Command::new("strace")
            .args(["-f", "-qq", "-p", &id])
            .args(strace)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        // Its wait for a word is a call as well: the first ones end it before it has begun.
        while !is_traced(self.child.id()) && strace.try_wait().unwrap().is_none() {
            assert!(begun.elapsed() < Duration::from_secs(120), "strace gets hold of it");
            std::thread::sleep(Duration::from_millis(2));
        }
        self.child.stdin.take().unwrap().write_all(b"go\n").ok();
        let said = self.lines.by_ref().map_while(Result::ok).collect();
        self.child.wait().unwrap();
        strace.wait().unwrap();
        said
    }
}

/// True once strace holds every thread of a process.
fn is_traced(process: u32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).unwrap().flatten();
    threads.into_iter().all(|thread| {
        let status = std::fs::read_to_string(thread.path().join("status")).unwrap_or_default();
        status.lines().any(|line| line.starts_with("TracerPid:") && !line.ends_with("\t0"))
    })
}

/// The files of a closed store of generation 1.
async fn old() -> Vec<(String, Vec<u8>)> {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path()).unwrap();
    commit(&store, &sample::generation(1)).await.unwrap();
    drop(store);
    let files = std::fs::read_dir(dir.path()).unwrap().flatten();
    let named = |entry: std::fs::DirEntry| {
        (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap())
    };
    files.map(named).collect()
}

/// What one piece of work asks the system for, call by call.
fn calls(work: &str, old: &[(String, Vec<u8>)], calls: &str) -> (String, Vec<String>) {
    let log = tempfile::NamedTempFile::new().unwrap();
    let path = log.path().display().to_string();
    let mut working = Work::begin(work, old);
    let options = ["-y", "-e", &format!("trace={calls}"), "-o", &path].map(str::to_owned);
    let said = working.go(&options);
    assert!(said.contains(&"closed".to_owned()), "{said:?}");
    let text = std::fs::read_to_string(&path).unwrap();
    let dir = working.dir.path().display().to_string();
    (dir, text.lines().map(str::to_owned).collect())
}

/// How many of the calls one thread makes.
fn reach(work: &str, old: &[(String, Vec<u8>)]) -> usize {
    let (_, lines) = calls(work, old, CALLS);
    let saves = |line: &String| line.contains("pwrite64(") || line.contains("unlink(");
    assert!(
        lines.iter().any(saves),
        "strace sees the work on the state, if it may trace here (a container without the right to ptrace?): {lines:?}"
    );
    let mut threads = BTreeMap::<&str, usize>::new();
    for line in lines.iter().filter(|line| line.contains('(') && !line.contains("resumed>")) {
        *threads.entry(line.split(' ').next().unwrap()).or_default() += 1;
    }
    threads.into_values().max().unwrap()
}

/// Kills the work at its n-th call; the generation that is found, and whether it had been acknowledged.
async fn killed(work: &str, old: &[(String, Vec<u8>)], n: usize) -> (u32, bool, bool) {
    let mut working = Work::begin(work, old);
    let inject = format!("inject={CALLS}:signal=KILL:when={n}");
    let trace = format!("trace={CALLS}");
    let said = working.go(&["-e", &trace, "-e", &inject, "-o", "/dev/null"].map(str::to_owned));
    let has = |word: &str| said.iter().any(|line| line == word);
    let (acknowledged, dies) = (has("kept") || work == "close", !has("closed"));
    (found(working.dir.path()).await, acknowledged, dies)
}

async fn found(dir: &Path) -> u32 {
    let store = SqliteStore::open(dir).expect("the state after a kill can be opened");
    sample::generation_of(&store.overview(&OverviewQuery::default()).await.unwrap(), 2)
}

#[tokio::test]
async fn killed_at_each_call_of_a_save_the_state_is_the_old_one_or_the_new_one() {
    let old = old().await;
    let (mut olds, mut news) = (0, 0);
    for (work, before) in [("save", 1), ("make", 0), ("close", 2)] {
        let reach = reach(work, &old);
        let step = reach.div_ceil(cases(reach, 12));
        for n in (1..=reach).step_by(step) {
            let (generation, acknowledged, dies) = killed(work, &old, n).await;
            assert!(generation == 2 || generation == before, "{work} {n}: {generation}");
            assert!(!acknowledged || generation == 2, "{work} {n}: what was kept is lost");
            // Not every thread comes to its n-th call: then nothing died.
            *if generation == 2 { &mut news } else { &mut olds } += usize::from(dies);
        }
    }
    assert!(olds > 0 && news > 0, "all on one side of the save: {olds}, {news}");
    let seen = format!(
        "{} deaths at calls of a save, of making and of closing the state: {olds} left the old one, {news} the new one, \
         never anything between",
        olds + news
    );
    kept(23, "", &seen);
}

/// A kill takes nothing that was written; a machine that loses its power does.
#[tokio::test]
async fn what_is_acknowledged_is_on_the_disk_before_and_so_is_the_name_of_a_new_state() {
    let old = old().await;
    let (_, saving) = calls("save", &old, "pwrite64,fdatasync,fsync,write");
    let told = saving.iter().position(|line| line.contains("write(") && line.contains("kept"));
    let before = &saving[..told.unwrap_or_else(|| panic!("it says so: {saving:?}"))];
    let written = before.iter().rposition(|line| line.contains("state.db-wal>"));
    let last = written.map(|at| before[at].contains("sync("));
    assert_eq!(last, Some(true), "the log is synced after its last page: {saving:?}");

    let (dir, making) = calls("make", &[], "/^rename,fsync,fdatasync,write");
    let at = |what: &str, of: &str| {
        making.iter().position(|line| line.contains(what) && line.contains(of))
    };
    let (named, told) = (at("rename", "state.db"), at("write(", "kept"));
    let (named, told) = named.zip(told).unwrap_or_else(|| panic!("it is made: {making:?}"));
    let synced = |line: &String| line.contains("sync(") && line.contains(&format!("<{dir}>"));
    assert!(making[named..told].iter().any(synced), "{dir}: {making:?}");
}
