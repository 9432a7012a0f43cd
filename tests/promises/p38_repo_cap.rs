//! 38: a repository that has no end: what is on the disk stays below the cap, and the fetch ends by its deadline.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::Path;
use std::time::{Duration, Instant};

use sentry_tests::liar::{GitLiar, Lies, Pack};
use sentry_tests::promise::{AtMost, cases, kept};
use sentry_tests::road::{Fetch, Road};

/// What a fetch may take on the disk.
const CAP: u64 = 256 << 20;
/// The watch's `timeout`, in seconds.
const TIMEOUT: u64 = 10;
/// How long a fetch may last, from the making of its directory to its going. The room is for killing git and for removing
/// 128 MiB from a disk that others use.
const LIMIT: AtMost = AtMost::seconds(TIMEOUT as f64).with_room(3.0);
/// The slow one would go on for days.
const PATIENCE: Duration = Duration::from_secs(120);

/// The bytes of all files below a directory.
pub(crate) fn bytes_below(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(about) if about.is_dir() => bytes_below(&entry.path()),
        Ok(about) => about.len(),
        // It went away while we looked.
        Err(_) => 0,
    };
    entries.map(size).sum()
}

/// The directories of fetches.
pub(crate) fn fetches_in(temp: &Path) -> BTreeSet<OsString> {
    let names = std::fs::read_dir(temp).unwrap().flatten().map(|entry| entry.file_name());
    names.filter(|name| name.to_string_lossy().contains("sentry-git-")).collect()
}

/// The bytes of files without a name that a process keeps in a directory.
pub(crate) fn unnamed_in(process: u32, temp: &Path) -> u64 {
    let files = std::fs::read_dir(format!("/proc/{process}/fd")).into_iter().flatten().flatten();
    let of_temp = |path: &Path| {
        let leads = std::fs::read_link(path).unwrap_or_default();
        leads.starts_with(temp) && leads.to_string_lossy().ends_with("(deleted)")
    };
    let paths = files.map(|file| file.path()).filter(|path| of_temp(path));
    paths.filter_map(|path| std::fs::metadata(path).ok()).map(|about| about.len()).sum()
}

#[test]
fn a_repository_without_end_takes_no_more_than_its_cap_and_no_longer_than_its_deadline() {
    let head = "c0ffee".repeat(7)[..40].to_owned();
    let liar = GitLiar::start(Lies::about(&head, Pack::EndlessBlob));
    let mut road = Road::new();
    assert_eq!(road.once().code, Some(0));
    let (mut most, mut longest) = (0, Duration::ZERO);
    // The last one is slow enough to last to the deadline, and fast enough not to be given up before.
    let packs = [Pack::EndlessBlob, Pack::EndlessBlobs, Pack::Slowing(1 << 20)];
    let rounds = cases(10, 1);
    for pack in packs.iter().cycle().take(packs.len() * rounds) {
        liar.say(Lies::about(&head, pack.clone()));
        for fetch in Fetch::EACH {
            road.fetch = fetch;
            let more = format!("timeout: {TIMEOUT}\n    max_retries: 0");
            road.configure_b(&liar.url("b.git"), &more);
            let (peak, took) = endless(&road, pack);
            (most, longest) = (most.max(peak), longest.max(took));
        }
    }
    let seen = format!(
        "{} fetches without end (one file, 100,000,000 files, a slow one), within the process and by the git program: {} MiB on \
         the disk at most, ended within {}",
        packs.len() * rounds * 2,
        most >> 20,
        LIMIT.told_time(longest)
    );
    kept(38, "", &seen);
}

/// One fetch of what has no end: the most that it had on the disk, and how long it was there.
fn endless(road: &Road, pack: &Pack) -> (u64, Duration) {
    let temp = road.sandbox.root().join("tmp");
    let (sha, begun) = (road.push(), Instant::now());
    let what = format!("{:?} {pack:?}", road.fetch);
    let mut agent = road.sandbox.spawn(["watch", "--once"]);
    let (mut peak, mut lives) = (0, BTreeMap::<OsString, (Instant, Instant)>::new());
    while agent.is_running() {
        assert!(begun.elapsed() <= PATIENCE, "{what}: it goes on: {}", road.why(&sha));
        let unnamed = unnamed_in(agent.id(), &temp);
        peak = peak.max(bytes_below(&temp) + unnamed);
        let within = (unnamed > 0).then(|| OsString::from("without a name"));
        for fetch in fetches_in(&temp).into_iter().chain(within) {
            let now = Instant::now();
            lives.entry(fetch).or_insert((now, now)).1 = now;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let took = lives.values().map(|(first, last)| *last - *first).max().unwrap_or_default();
    LIMIT.hold_time(&what, took);
    assert_ne!(agent.wait().code, Some(0));
    // That many files are too many for git's memory already; within the process their number is refused at once, and what is
    // small stays in memory.
    let is_small = road.fetch == Fetch::Within && matches!(pack, Pack::Slowing(_));
    let is_written = !matches!(pack, Pack::EndlessBlobs) && !is_small;
    assert!(peak > 1 << 20 || !is_written, "{what}: {peak} were seen");
    assert!(peak <= CAP, "{what}: {peak} bytes on the disk");
    assert_eq!(road.cluster.writes(), 0);
    assert!(bytes_below(&temp) < 1 << 20, "{what}: the fetch left something behind");
    (peak, took)
}
