//! 35: a secret is nowhere where it does not belong, however it is written, and least of all where something failed.
//!
//! Here thousands of failures are made in this process: servers, git and kubectl repeat every secret that the
//! configuration knows, in every way to write it. [`sessions`] looks at the program itself.

use std::sync::{Arc, Mutex};

use fastrand::Rng;
use sentry_core::secret::{Redactor, Secret};
use sentry_tests::judge::canaries::{canary, found, ways_to_write};
use sentry_tests::promise::{cases, kept};
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;

mod cluster;
mod forges;
mod sessions;
mod settings;

/// Every kind of secret that the configuration knows.
const KINDS: [&str; 10] = [
    "token",
    "report_token",
    "webhook_secret",
    "read_token",
    "trigger_token",
    "named_token",
    "proxy",
    "kubeconfig",
    "lent",
    "own",
];

/// The secrets, and what whoever is asked knows of them.
struct Secrets {
    known: Vec<String>,
    ways: Vec<String>,
}

impl Secrets {
    fn new() -> Self {
        let known: Vec<_> = KINDS.iter().map(|kind| canary(kind)).collect();
        let ways = known.iter().flat_map(|secret| ways_to_write(secret)).map(|(_, text)| text);
        let ways = ways.collect();
        Self { known, ways }
    }

    /// One to three of them, written in some way, with some text around.
    fn quote(&self, rng: &mut Rng) -> String {
        let mut text = String::new();
        for _ in 0..rng.usize(1..4) {
            let before = ["", " ", "=", ":", "'", "token ", "https://x:", "Bearer ", "/"];
            let after = ["", " ", "'", "@host/a", ",", ".", "}"];
            text += before[rng.usize(..before.len())];
            text += &self.ways[rng.usize(..self.ways.len())];
            text += after[rng.usize(..after.len())];
            text += " ";
        }
        text
    }

    /// A redactor as the program has it: it learned what stands in the configuration.
    fn redactor(&self) -> Redactor {
        let redactor = Redactor::new();
        for kind in ["report_token", "webhook_secret", "read_token", "trigger_token", "named_token"]
        {
            redactor.learn(&Secret::new(canary(kind)));
        }
        redactor
    }

    fn hits(&self, text: &str) -> Vec<(&str, String)> {
        found(text, &self.known.iter().map(String::as_str).collect::<Vec<_>>())
    }
}

/// Everything that Sentry's own crates log, at TRACE, before anything takes secrets out of the lines.
#[derive(Clone, Default)]
struct Logged(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Logged {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Logged {
    /// On this thread, while the guard lives.
    fn listen(&self) -> tracing::subscriber::DefaultGuard {
        let own = self.clone();
        let layer =
            tracing_subscriber::fmt::layer().with_ansi(false).with_writer(move || own.clone());
        let ours = filter_fn(|metadata| metadata.target().starts_with("sentry"));
        tracing::subscriber::set_default(
            tracing_subscriber::registry().with(layer.with_filter(ours)),
        )
    }

    fn take(&self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut *self.0.lock().unwrap())).into_owned()
    }
}

/// All that a person, a program or a log may be told of an error.
fn told(error: &(dyn std::error::Error + 'static), hint: Option<&str>) -> String {
    format!("{}\n{}\n{error:?}\n", sentry_core::error::text(error), hint.unwrap_or_default())
}

/// What the cases of one kind came to.
#[derive(Default)]
struct Tally {
    cases: usize,
    errors: usize,
    /// Texts in which something was taken out.
    redacted: usize,
    lines: usize,
    hits: Vec<String>,
}

impl Tally {
    fn judge(&mut self, secrets: &Secrets, errors: &[String], logged: &str) {
        self.cases += 1;
        self.errors += errors.len();
        self.lines += logged.lines().count();
        for text in errors.iter().map(String::as_str).chain([logged]) {
            self.redacted += usize::from(text.contains("[redacted]") || text.contains("[secret]"));
            for (secret, near) in secrets.hits(text) {
                self.hits.push(format!("{secret} near {near} in {text}"));
            }
        }
    }

    fn conclude(self, part: &str) {
        let first: Vec<_> = self.hits.iter().take(3).collect();
        assert!(first.is_empty(), "{part}: {} hits: {first:#?}", self.hits.len());
        assert!(
            self.errors >= self.cases * 2 / 3,
            "{part}: hardly anything failed: {}",
            self.errors
        );
        assert!(self.redacted > self.cases / 20, "{part}: nothing was quoted: {}", self.redacted);
        let Self { cases, errors, redacted, lines, .. } = self;
        let seen = format!(
            "{cases} cases, {errors} errors and {lines} lines at TRACE, {redacted} with something taken out: 0 hits"
        );
        kept(35, part, &seen);
    }
}

#[test]
fn no_error_and_no_line_about_a_forge_or_git_holds_a_secret() {
    forges::run(cases(4_000, 150)).conclude("forges and git");
}

#[test]
fn no_error_and_no_line_about_kubectl_holds_a_secret() {
    cluster::run(cases(3_000, 100)).conclude("kubectl");
}

#[test]
fn no_problem_of_a_configuration_quotes_a_secret_of_it() {
    settings::run(cases(3_000, 200)).conclude("the configuration");
}
