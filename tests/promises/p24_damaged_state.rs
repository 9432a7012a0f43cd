//! 24: the database cut at every length, with flipped bits, with a damaged log: it is found damaged, at the start or by the
//! check of everything beside the agent, moved aside with a clear message, and the next start works; or what is read is what
//! was once written. Never a panic, never a run twice.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sentry_core::delivery::{Delivery, HeadRecord};
use sentry_core::deployer::DeployerPorts;
use sentry_core::engine::{Engine, EngineError, Stop};
use sentry_core::forge::ForgePorts;
use sentry_core::plan::COMMIT_LABEL;
use sentry_core::store::{
    Archive as _, DeliveryQuery, Inbox as _, Overview, OverviewQuery, Snapshot, StoreError,
    StoreErrorKind, Write,
};
use sentry_core::testing::fakes::{FakeDeployer, FakeForge, TokioClock};
use sentry_core::testing::{commit, load, sample};
use sentry_core::watch::sample::watch;
use sentry_store::SqliteStore;
use sentry_tests::promise::{cases, full, kept};
use sentry_tests::road::Road;
use sentry_tests::sandbox::Output;
use sentry_tests::tally::{Tally, tree};
use tempfile::TempDir;

const A: &str = "https://example.com/product/app";
const B: &str = "https://example.com/qa/tests";

/// A directory in memory, where there is one: the disk itself is not what is tried here.
fn directory() -> TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

fn db(dir: &Path) -> PathBuf {
    dir.join("state.db")
}

/// Everything that a store tells.
#[derive(Debug, PartialEq, Clone)]
struct All(Snapshot, Overview, Vec<Delivery>, Vec<HeadRecord>);

async fn read_all(store: &SqliteStore) -> Result<All, StoreError> {
    let deliveries = store.deliveries(&DeliveryQuery::default()).await?;
    let overview = store.overview(&OverviewQuery::default()).await?;
    Ok(All(load(store).await?, overview, deliveries, store.heads("").await?))
}

fn records(n: u32) -> Vec<Write> {
    vec![
        Write::Cursors(sample::cursors(n)),
        Write::Watch(sample::watch_state(n)),
        Write::Agent(sample::agent(n)),
        Write::Delivery(Box::new(sample::delivery(n))),
        Write::Delivery(Box::new(sample::open_delivery(n + 100))),
        Write::Head(sample::head(n)),
        Write::Validator(format!("key-{n}"), Some(sample::validator(n))),
    ]
}

/// A database that is closed; its log after further commits, which are still in it; and what was there after each.
struct Written {
    db: Vec<u8>,
    log: Vec<u8>,
    states: Vec<All>,
}

async fn written() -> Written {
    let dir = directory();
    let store = SqliteStore::open(dir.path()).unwrap();
    for n in 0..6 {
        commit(&store, &records(n)).await.unwrap();
    }
    store.request(&sample::trigger(1)).await.unwrap();
    drop(store);
    let whole = fs::read(db(dir.path())).unwrap();
    let store = SqliteStore::open(dir.path()).unwrap();
    let mut states = vec![read_all(&store).await.unwrap()];
    for n in 6..10 {
        commit(&store, &records(n)).await.unwrap();
        states.push(read_all(&store).await.unwrap());
    }
    let log = fs::read(dir.path().join("state.db-wal")).unwrap();
    assert_eq!(fs::read(db(dir.path())).unwrap(), whole, "all of it is in the log");
    Written { db: whole, log, states }
}

/// How an agent's start ends with these files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Start {
    /// What was written before.
    Fine,
    /// Moved aside; the next start began afresh.
    Quarantined,
    /// It went well; the check beside the agent found the damage, and the next start moved it aside.
    Later,
    /// Said to be a newer Sentry's: the schema's number is covered by no sum.
    Newer,
}

/// Starts with these files as an agent does, twice if need be.
async fn start(db_bytes: &[u8], log: Option<&[u8]>, states: &[All], what: &str) -> Start {
    let dir = directory();
    fs::write(db(dir.path()), db_bytes).unwrap();
    if let Some(log) = log {
        fs::write(dir.path().join("state.db-wal"), log).unwrap();
    }
    let (error, end) = match SqliteStore::open(dir.path()) {
        Ok(store) => match store.verify().await {
            Ok(()) => {
                let read = read_all(&store).await.unwrap_or_else(|e| panic!("{what}: {e}"));
                assert!(states.contains(&read), "{what}: what is read was never written");
                return Start::Fine;
            }
            Err(found) => {
                assert_eq!(found.kind(), StoreErrorKind::Corrupt, "{what}: {found}");
                drop(store);
                (SqliteStore::open(dir.path()).expect_err(what), Start::Later)
            }
        },
        Err(error) => (error, Start::Quarantined),
    };
    if error.kind() == StoreErrorKind::Newer {
        return Start::Newer;
    }
    assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{what}: {error}");
    let names = fs::read_dir(dir.path()).unwrap().flatten();
    let names: Vec<_> = names.map(|entry| entry.file_name().into_string().unwrap()).collect();
    let moved = names.iter().find(|name| name.starts_with("state.db.corrupt-"));
    let moved = moved.unwrap_or_else(|| panic!("{what}: the damaged file is kept: {names:?}"));
    let text = error.to_string();
    assert!(text.contains(moved.as_str()) && text.contains("fresh state"), "{what}: {text}");
    let fresh = SqliteStore::open(dir.path()).unwrap_or_else(|e| panic!("{what}: {e}"));
    assert_eq!(load(&fresh).await.unwrap(), Snapshot::default(), "{what}");
    end
}

fn flipped(bytes: &[u8], bit: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[bit / 8] ^= 1 << (bit % 8);
    bytes
}

#[tokio::test]
async fn a_file_cut_anywhere_and_any_flipped_bit_is_found_or_changes_nothing() {
    let Written { db, log, states } = written().await;
    let mut ends = BTreeMap::<(&str, Start), usize>::new();
    let mut count = |kind, end| *ends.entry((kind, end)).or_default() += 1;
    let step = |length: usize, few: usize| if full() { 1 } else { length / few };
    for length in (0..db.len()).step_by(step(db.len(), 60)) {
        let end = start(&db[..length], None, &states[..1], &format!("cut at {length}")).await;
        assert_eq!(end, Start::Quarantined, "cut at {length}");
        count("cut files", end);
    }
    for length in (0..=log.len()).step_by(step(log.len(), 40)) {
        let what = format!("log cut at {length}");
        count("cut logs", start(&db, Some(&log[..length]), &states, &what).await);
    }
    let mut random = fastrand::Rng::with_seed(24);
    let header = (0..100 * 8).step_by(cases(1, 1).max(if full() { 1 } else { 16 }));
    let anywhere = std::iter::repeat_with(|| random.usize(..db.len() * 8)).take(cases(10_000, 120));
    for bit in header.chain(anywhere.collect::<Vec<_>>()) {
        let what = format!("bit {bit}");
        let end = start(&flipped(&db, bit), None, &states[..1], &what).await;
        assert!(end != Start::Newer || (60..64).contains(&(bit / 8)), "{what}");
        count("flipped bits of the file", end);
    }
    for _ in 0..cases(10_000, 120) {
        let bit = random.usize(..log.len() * 8);
        let (log, what) = (flipped(&log, bit), format!("bit {bit} of the log"));
        count("flipped bits of the log", start(&db, Some(&log), &states, &what).await);
    }
    let of = |kind| -> String {
        let these = ends.iter().filter(|((of, _), _)| *of == kind);
        let words: Vec<_> = these
            .map(|((_, end), n)| format!("{n} {}", format!("{end:?}").to_lowercase()))
            .collect();
        format!("{kind}: {}", words.join(", "))
    };
    let kinds =
        ["cut files", "cut logs", "flipped bits of the file", "flipped bits of the log"].map(of);
    kept(24, "the store", &format!("0 panics; {}", kinds.join("; ")));
}

/// An engine over this state, and fakes that know nothing of the damage.
fn engine(store: SqliteStore, forge: &Arc<FakeForge>, deployer: &Arc<FakeDeployer>) -> Engine {
    Engine::builder(Arc::new(store))
        .clock(Arc::new(TokioClock::new()))
        .watch(watch("qa", &["main"]))
        .forge("forge", ForgePorts::with_statuses(Arc::clone(forge)))
        .deployer("deployer", DeployerPorts::new(Arc::clone(deployer)))
        .build()
        .unwrap()
}

/// How often a run was made for each commit and file.
fn made(deployer: &FakeDeployer) -> BTreeMap<(String, String), usize> {
    let mut made = BTreeMap::new();
    for run in deployer.created() {
        let commit = run.json["metadata"]["labels"][COMMIT_LABEL].to_string();
        *made.entry((commit, run.object.path.clone())).or_default() += 1;
    }
    made
}

/// Starts the agent again while it finds damage; whether it then began afresh, `None` if it refuses the state.
async fn until_it_works(
    dir: &Path,
    forge: &Arc<FakeForge>,
    deployer: &Arc<FakeDeployer>,
) -> Option<bool> {
    for is_fresh in [false, true, true] {
        let ended = match SqliteStore::open(dir) {
            Ok(store) => engine(store, forge, deployer).once(&Stop::new()).await.map(drop),
            Err(error) => Err(error.into()),
        };
        match ended {
            Ok(()) => return Some(is_fresh),
            Err(EngineError::Store(error)) if error.kind() == StoreErrorKind::Corrupt => {}
            Err(_) => return None,
        }
    }
    panic!("the third start found damage again")
}

#[tokio::test]
async fn after_any_damage_no_run_is_made_again() {
    let run = |name| {
        format!(
            "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata: {{generateName: {name}-}}\n"
        )
    };
    let (forge, deployer) = (Arc::new(FakeForge::new()), Arc::new(FakeDeployer::new()));
    forge.commit(A, "main", "first", &[]);
    forge.commit(B, "main", "tests", &[("a.yaml", &run("a")), ("b.yaml", &run("b"))]);
    let dir = directory();
    for _ in 0..3 {
        let store = SqliteStore::open(dir.path()).unwrap();
        engine(store, &forge, &deployer).once(&Stop::new()).await.unwrap();
        forge.commit(A, "main", "work", &[]);
    }
    assert_eq!(deployer.created().len(), 4, "two heads were delivered");
    let whole = fs::read(db(dir.path())).unwrap();
    let mut random = fastrand::Rng::with_seed(25);
    let (mut damages, mut fresh) = (0, 0);
    for n in 0..cases(2000, 60) {
        let damaged = if n % 2 == 0 {
            flipped(&whole, random.usize(..whole.len() * 8))
        } else {
            whole[..random.usize(..whole.len())].to_vec()
        };
        let dir = directory();
        fs::write(db(dir.path()), damaged).unwrap();
        match until_it_works(dir.path(), &forge, &deployer).await {
            // Refused and left alone: nothing runs.
            None => continue,
            Some(is_fresh) => fresh += usize::from(is_fresh),
        }
        damages += 1;
        let made = made(&deployer);
        assert!(made.values().all(|runs| *runs == 1), "{made:?}");
    }
    assert!(fresh > 0 && fresh < damages, "damage of both kinds: {fresh} of {damages}");
    let seen = format!("{damages} damaged states, {fresh} of them begun afresh: 0 duplicate runs");
    kept(24, "the engine", &seen);
}

#[test]
fn the_binary_says_what_became_of_damaged_state_and_goes_on_with_the_next_start() {
    let files = tree();
    let files: Vec<_> = files.iter().map(|(path, text)| (*path, &**text)).collect();
    let road = Road::with(&files);
    assert_eq!(road.once().code, Some(0));
    let state = road.sandbox.root().join("home/.local/state/sentry/state.db");
    let mut random = fastrand::Rng::with_seed(26);
    let (mut heads, mut quarantined) = (Vec::new(), 0);
    let rounds = cases(60, 4);
    for round in 0..rounds {
        heads.push(road.push());
        assert_eq!(road.once().code, Some(0));
        let whole = fs::read(&state).unwrap();
        let damaged = match round % 4 {
            0 => whole[..random.usize(..whole.len())].to_vec(),
            1 => flipped(&whole, random.usize(100 * 8..whole.len() * 8)),
            2 => b"<html>not found</html>".to_vec(),
            _ => flipped(&whole, random.usize(..16 * 8)),
        };
        fs::write(&state, damaged).unwrap();
        let found = road.once();
        if found.code != Some(0) {
            assert_eq!(found.code, Some(2), "{found:?}");
            assert!(found.stderr.contains("is damaged"), "{found:?}");
            let moved = |seen: &Output| seen.stderr.contains("was moved to");
            // What is past is not read by a start; the one after the read that met it moves it aside.
            let told = if moved(&found) { found } else { road.once() };
            assert!(moved(&told) && !told.stderr.contains("panicked"), "{told:?}");
            quarantined += 1;
            let next = road.once();
            assert_eq!(next.code, Some(0), "{next:?}");
        }
        let tally = Tally::of(&road.cluster);
        assert_eq!((tally.lost(&heads), tally.doubled()), (0, 0), "round {round}");
    }
    assert!(quarantined >= rounds / 2);
    let seen = format!(
        "{rounds} damaged states, {quarantined} moved aside and said so: exactly 1 run each"
    );
    kept(24, "the binary", &seen);
}
