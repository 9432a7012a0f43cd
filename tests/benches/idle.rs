//! What an idle agent costs: CPU for each poll apart from the CPU it uses anyway, memory with 1 and with 1,000 watches,
//! start-up time, size of the binary.
//!
//! `cargo build --release -p sentry-cli && cargo bench -p sentry-tests --bench idle`; `BEFORE=PROGRAM` measures another
//! build of sentry beside it, `SECONDS=20` looks for another time than a minute.

#![expect(clippy::print_stdout, reason = "a benchmark prints")]
#![expect(clippy::unwrap_used, reason = "a benchmark that can't measure has failed")]

use std::collections::HashMap;
use std::fmt::Write as _;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hyper::StatusCode;
use sentry_tests::http::{HttpServer, reply};
use sentry_tests::processes::rss_kib;
use sentry_tests::sandbox::{Agent, Sandbox};

const HOW: &str = "\
CPU is the agent's alone: user and system time of all its threads in nanoseconds (/proc/PID/task/*/schedstat, read
each second, so that a thread that ends is not lost). The forge is a server in the benchmark's own process on loopback,
plain HTTP/1.1, that answers each question from memory with \"304 Not Modified\". 10 and 1,000 watches are observed at
two rates of polling, a minute each: the slope between them is what a poll costs, the rest is what the agent costs anyway
(it looks for requests of other processes each second, and says every 10 s that it lives). 4,000 and 10,000 watches are
there for the memory alone.";

/// How long each rate of polling is watched.
fn window() -> Duration {
    let seconds = std::env::var("SECONDS").map_or(60, |seconds| seconds.parse().unwrap());
    Duration::from_secs(seconds)
}

/// What the threads of a process have used so far, those that ended included.
struct Cpu {
    pid: u32,
    nanos: HashMap<std::ffi::OsString, u64>,
}

impl Cpu {
    fn of(agent: &Agent) -> Self {
        Self { pid: agent.id(), nanos: HashMap::new() }
    }

    fn seconds(&mut self) -> f64 {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.pid)).unwrap();
        for task in tasks.flatten() {
            // A thread may end between the listing and the reading.
            let Ok(stat) = std::fs::read_to_string(task.path().join("schedstat")) else { continue };
            let nanos = stat.split(' ').next().unwrap().parse().unwrap();
            self.nanos.insert(task.file_name(), nanos);
        }
        self.nanos.values().sum::<u64>() as f64 / 1e9
    }
}

fn rss_mib(pid: u32) -> f64 {
    rss_kib(pid) as f64 / 1024.0
}

/// A forge of which every repository has one branch that never moves.
fn quiet_forge() -> HttpServer {
    const ETAG: &str = "\"aaaa\"";
    HttpServer::start("quiet", None, |request| {
        let known = request.headers().get("if-none-match").is_some_and(|etag| etag == ETAG);
        let (status, body) = if known {
            (StatusCode::NOT_MODIFIED, String::new())
        } else {
            (StatusCode::OK, "a".repeat(40))
        };
        let headers = [
            ("content-type", "application/vnd.github.sha; charset=utf-8"),
            ("etag", ETAG),
            ("x-ratelimit-limit", "5000"),
            ("x-ratelimit-remaining", "4321"),
            ("x-ratelimit-reset", "4102444800"),
        ];
        Box::pin(async move { reply(status, &headers, body) })
    })
}

/// Each watch looks at a repository of its own; the intervals differ, so that polls do not come in one burst.
fn config(forge: &HttpServer, watches: usize, intervals: &RangeInclusive<usize>) -> String {
    let origin = forge.origin();
    let mut config = format!(
        "forges:\n  hub: {{type: github, url: '{origin}', token: bench-token}}\nwatches:\n"
    );
    let span = intervals.end() - intervals.start() + 1;
    for n in 0..watches {
        let interval = intervals.start() + n % span;
        writeln!(
            config,
            "  - {{name: w{n}, polling_interval: {interval}, \
             source: {{forge: hub, url: '{origin}/o/r{n}.git', branches: main}}, \
             manifests: {{forge: hub, url: '{origin}/o/b.git', branch: main}}, \
             cluster: {{namespace: qa, deployer: dry-run}}}}"
        )
        .unwrap();
    }
    config
}

/// What one agent did in [`window`].
struct Seen {
    polls: f64,
    cpu: f64,
    rss_mib: f64,
}

fn observe(program: Option<&Path>, watches: usize, intervals: &RangeInclusive<usize>) -> Seen {
    let forge = quiet_forge();
    let mut sandbox = Sandbox::new();
    if let Some(program) = program {
        sandbox = sandbox.with_program(program);
    }
    sandbox.write_config(&config(&forge, watches, intervals));
    let agent = sandbox.spawn(["watch"]);
    while forge.log().requests() < watches {
        std::thread::sleep(Duration::from_millis(100));
    }
    // The first heads are written down, and memory that only the start needed is given back.
    std::thread::sleep(Duration::from_secs(12));
    let mut cpu = Cpu::of(&agent);
    let (used, asked) = (cpu.seconds(), forge.log().requests());
    let begun = Instant::now();
    while begun.elapsed() < window() {
        std::thread::sleep(Duration::from_secs(1));
        cpu.seconds();
    }
    let polls = u32::try_from(forge.log().requests() - asked).unwrap();
    let minutes = begun.elapsed().as_secs_f64() / 60.0;
    let seen = Seen {
        polls: f64::from(polls) / minutes,
        cpu: (cpu.seconds() - used) / minutes,
        rss_mib: rss_mib(agent.id()),
    };
    agent.kill9();
    seen
}

fn told(program: Option<&Path>, watches: usize, intervals: &RangeInclusive<usize>) -> Seen {
    let seen = observe(program, watches, intervals);
    println!(
        "{watches:>5} watches: {:>5.0} polls a minute, {:>6.1} ms CPU a minute, RSS {:.1} MiB",
        seen.polls,
        seen.cpu * 1e3,
        seen.rss_mib
    );
    seen
}

fn slope(
    program: Option<&Path>,
    watches: usize,
    often: &RangeInclusive<usize>,
    seldom: &RangeInclusive<usize>,
) {
    let (seldom, often) = (told(program, watches, seldom), told(program, watches, often));
    let poll = (often.cpu - seldom.cpu) / (often.polls - seldom.polls);
    println!(
        "{watches:>5} watches: {:.0} µs CPU for each poll, and {:.1} ms CPU a minute without any\n",
        poll * 1e6,
        (seldom.cpu - poll * seldom.polls) * 1e3
    );
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
    println!("start-up (sentry --version, median of 20): {:.1} ms", times[10].as_secs_f64() * 1e3);
}

/// From the start of the process to its first question, the state's file made on the way.
fn first_poll() {
    let forge = quiet_forge();
    let mut times: Vec<Duration> = (0..9)
        .map(|_| {
            let sandbox = Sandbox::new();
            sandbox.write_config(&config(&forge, 1, &(60..=60)));
            let asked = forge.log().requests();
            let begun = Instant::now();
            let agent = sandbox.spawn(["watch"]);
            while forge.log().requests() == asked {
                std::thread::sleep(Duration::from_micros(200));
            }
            let took = begun.elapsed();
            agent.kill9();
            took
        })
        .collect();
    times.sort();
    println!(
        "start of the agent to its first poll (median of 9): {:.1} ms",
        times[4].as_secs_f64() * 1e3
    );
}

fn main() {
    let binary = std::env::current_exe().unwrap().with_file_name("").join("../sentry");
    println!(
        "binary: {:.1} MiB",
        std::fs::metadata(binary).unwrap().len() as f64 / f64::from(1 << 20)
    );
    start_up();
    first_poll();
    println!("\n{HOW}\n");
    let before =
        std::env::var_os("BEFORE").map_or_else(Vec::new, |program| vec![PathBuf::from(program)]);
    for program in before.iter().map(|program| Some(program.as_path())).chain([None]) {
        println!("{}:", if program.is_some() { "before" } else { "now" });
        told(program, 1, &(60..=60));
        slope(program, 10, &(10..=14), &(60..=60));
        slope(program, 1000, &(15..=25), &(50..=70));
        told(program, 4_000, &(50..=70));
        told(program, 10_000, &(50..=70));
    }
}
