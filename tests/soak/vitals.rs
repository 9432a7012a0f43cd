//! How the process fares, by what the kernel says of it.

use std::path::Path;
use std::time::Instant;

use sentry_tests::processes::rss_kib;
use sentry_tests::sandbox::{Agent, Sandbox};

/// A life's first minute is not judged: connections, caches and the allocator's pools fill.
const YOUTH: f64 = 60.0;
/// By how many KiB a minute the longest life may grow, and what the home may hold: twice what was seen.
const STEEPEST: f64 = 40.0;
const FULLEST: u64 = 64 << 20;

/// One look at a process.
struct Sample {
    /// Seconds since its start.
    age: f64,
    rss_kib: f64,
    files: usize,
    children: usize,
    zombies: usize,
    /// Of the whole home: state, scratch files, caches.
    disk: u64,
}

/// What was seen, in all lives of the agent.
pub(crate) struct Vitals {
    born: Instant,
    lives: Vec<Vec<Sample>>,
}

impl Vitals {
    pub(crate) fn begin() -> Self {
        Self { born: Instant::now(), lives: vec![Vec::new()] }
    }

    /// The agent was started again.
    pub(crate) fn reborn(&mut self) {
        self.born = Instant::now();
        self.lives.push(Vec::new());
    }

    pub(crate) fn take(&mut self, agent: &Agent, sandbox: &Sandbox) {
        let (children, zombies) = children(agent.id());
        let sample = Sample {
            age: self.born.elapsed().as_secs_f64(),
            rss_kib: rss_kib(agent.id()) as f64,
            files: std::fs::read_dir(format!("/proc/{}/fd", agent.id())).unwrap().count(),
            children,
            zombies,
            disk: size_of(sandbox.root()),
        };
        self.lives.last_mut().unwrap().push(sample);
    }

    fn all(&self) -> impl Iterator<Item = &Sample> {
        self.lives.iter().flatten()
    }

    /// KiB a minute: least squares over the longest life, without its youth. `None` if no life was long enough.
    fn slope(&self) -> Option<f64> {
        let grown = |life: &Vec<Sample>| life.iter().filter(|s| s.age > YOUTH).count();
        let life = self.lives.iter().max_by_key(|life| grown(life))?;
        let points: Vec<_> =
            life.iter().filter(|s| s.age > YOUTH).map(|s| (s.age / 60.0, s.rss_kib)).collect();
        if points.len() < 30 {
            return None;
        }
        let n = points.len() as f64;
        let (x, y) = (
            points.iter().map(|p| p.0).sum::<f64>() / n,
            points.iter().map(|p| p.1).sum::<f64>() / n,
        );
        let above: f64 = points.iter().map(|p| (p.0 - x) * (p.1 - y)).sum();
        let below: f64 = points.iter().map(|p| (p.0 - x).powi(2)).sum();
        Some(above / below)
    }

    pub(crate) fn report(&self) -> String {
        let most = |of: fn(&Sample) -> f64| self.all().map(of).fold(0.0, f64::max);
        let first = self.all().next().map_or(0, |sample| sample.disk);
        let last = self.all().last().map_or(0, |sample| sample.disk);
        let slope = self.slope().map_or("no life was long enough".to_owned(), |slope| {
            format!("{slope:+.1} KiB a minute in the longest life")
        });
        format!(
            "RSS at most {:.1} MiB, {slope}; open files at most {}; children at most {}, zombies at most {}; \
             disk {:.1} MiB at first, {:.1} MiB at last, at most {:.1} MiB",
            most(|s| s.rss_kib) / 1024.0,
            most(|s| s.files as f64),
            most(|s| s.children as f64),
            most(|s| s.zombies as f64),
            mib(first),
            mib(last),
            most(|s| s.disk as f64) / f64::from(1 << 20),
        )
    }

    /// Bounds that a leak passes in time and a busy process does not.
    pub(crate) fn judge(&self) {
        for sample in self.all() {
            assert!(sample.files < 400, "{} open files", sample.files);
            assert!(sample.children < 60, "{} children", sample.children);
            assert!(sample.rss_kib < 96.0 * 1024.0, "{} KiB", sample.rss_kib);
            assert!(sample.disk < FULLEST, "{} bytes on the disk", sample.disk);
        }
        let slope = self.slope();
        assert!(slope.is_none_or(|slope| slope < STEEPEST), "{slope:?} KiB a minute");
        // Many children may end at once, and one look comes before they are waited for; several looks do not.
        for looks in self.lives.iter().flat_map(|life| life.windows(5)) {
            let zombies = looks.iter().map(|sample| sample.zombies).min();
            assert!(zombies < Some(10), "{zombies:?} zombies that stay");
        }
    }
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// The process's children, and those of them that ended and were not waited for.
fn children(pid: u32) -> (usize, usize) {
    let (mut all, mut zombies) = (0, 0);
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        // A process may end between the listing and the reading.
        let Ok(stat) = std::fs::read_to_string(process.path().join("stat")) else { continue };
        let Some((_, fields)) = stat.rsplit_once(") ") else { continue };
        let mut fields = fields.split(' ');
        let (state, parent) = (fields.next(), fields.next());
        if parent == Some(&pid.to_string()) {
            all += 1;
            zombies += usize::from(state == Some("Z"));
        }
    }
    (all, zombies)
}

fn size_of(dir: &Path) -> u64 {
    // Scratch files come and go while they are counted.
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => size_of(&entry.path()),
            Ok(meta) => meta.len(),
            Err(_) => 0,
        })
        .sum()
}
