//! What an idle agent costs: memory with 1 and with 1,000 watches, CPU for each poll, start-up time, size of the binary.
//!
//! `cargo build --release -p sentry-cli && cargo bench -p sentry-tests --bench idle`

#![expect(clippy::print_stdout, reason = "a benchmark prints")]
#![expect(clippy::unwrap_used, reason = "a benchmark that can't measure has failed")]

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use sentry_tests::forges::{ForgeOptions, github::GitHub};
use sentry_tests::repo::BareRepo;
use sentry_tests::sandbox::Sandbox;
use tempfile::TempDir;

/// Seconds of CPU that a process has used (proc(5): utime and stime in hundredths of a second).
fn cpu(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

fn rss_mib(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|l| l.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

fn idle(watches: usize, seconds: u64) {
    let repos = TempDir::new().unwrap();
    let first = BareRepo::create(repos.path(), "o/r0.git");
    first.commit("main", &[("a", "b")], "first");
    let forge = GitHub::start(repos.path(), ForgeOptions::default());
    forge.tokens().grant("bench-token");
    let mut config = format!(
        "forges:\n  hub: {{type: github, url: '{}', token: bench-token}}\ndefaults: {{polling_interval: 10}}\nwatches:\n",
        forge.http().origin()
    );
    for n in 0..watches {
        let name = format!("o/r{n}.git");
        if n > 0 {
            std::os::unix::fs::symlink(first.path(), repos.path().join(&name)).unwrap();
        }
        let url = forge.clone_url(&format!("o/r{n}"));
        writeln!(
            config,
            "  - {{name: w{n}, source: {{forge: hub, url: '{url}', branches: main}}, \
             manifests: {{forge: hub, url: '{url}', branch: main}}, cluster: {{namespace: qa, deployer: dry-run}}}}"
        )
        .unwrap();
    }
    let sandbox = Sandbox::new();
    sandbox.write_config(&config);
    let agent = sandbox.spawn(["watch"]);
    while forge.http().log().requests() < watches {
        std::thread::sleep(Duration::from_millis(100));
    }
    std::thread::sleep(Duration::from_secs(3));
    let (used, asked) = (cpu(agent.id()), forge.http().log().requests());
    std::thread::sleep(Duration::from_secs(seconds));
    let (used, asked) = (cpu(agent.id()) - used, forge.http().log().requests() - asked);
    println!(
        "{watches:>5} watches: RSS {:.1} MiB, {asked} polls in {seconds} s, {:.0} µs CPU each",
        rss_mib(agent.id()),
        used * 1e6 / f64::from(u32::try_from(asked.max(1)).unwrap())
    );
    agent.kill9();
}

fn start_up() {
    let sandbox = Sandbox::new();
    let mut times: Vec<Duration> = (0..20)
        .map(|_| {
            let begun = Instant::now();
            sandbox.sentry(["--version"]);
            begun.elapsed()
        })
        .collect();
    times.sort();
    println!("start-up (median of 20): {:.1} ms", times[10].as_secs_f64() * 1e3);
}

fn main() {
    let binary = std::env::current_exe().unwrap().with_file_name("").join("../sentry");
    println!(
        "binary: {:.1} MiB",
        std::fs::metadata(binary).unwrap().len() as f64 / f64::from(1 << 20)
    );
    start_up();
    idle(1, 60);
    idle(1000, 60);
}
