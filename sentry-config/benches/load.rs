//! How long a configuration takes to load, by the number of its watches, and how large it is.
//!
//! `cargo bench -p sentry-config --bench load`

#![expect(clippy::print_stdout, reason = "a benchmark prints")]

use std::fmt::Write as _;
use std::time::Instant;

use sentry_config::{Environment, parse};

/// Watches as a generator writes them: each with all that differs, the rest in `defaults`.
fn written(watches: usize) -> String {
    let mut text = String::from(
        "forges:\n  lab: {type: gitlab, url: 'https://lab.example.com', token: '${TOKEN}'}\n\
         defaults:\n  polling_interval: 5m\n  timeout: 10m\n\
         \x20 cluster: {context: qa, deployer: kubectl}\n\
         \x20 manifests: {forge: lab, url: 'https://lab.example.com/qa/pipelines', branch: main}\nwatches:\n",
    );
    for n in 0..watches {
        let group = n % 97;
        let _ = write!(
            text,
            "\x20 - name: unit-{n}\n\
             \x20   source:\n\
             \x20     forge: lab\n\
             \x20     url: https://lab.example.com/group-{group}/service-{n}.git\n\
             \x20     branches: [main, 'release/*']\n\
             \x20   manifests:\n\
             \x20     dir: .tekton/group-{group}\n\
             \x20   cluster:\n\
             \x20     namespace: qa-{group}\n\
             \x20   variables:\n\
             \x20     team: group-{group}\n\
             \x20     service: service-{n}\n",
        );
    }
    text
}

fn main() {
    let env = Environment::new([("TOKEN".to_owned(), "x".to_owned())].into());
    println!("the quickest of 5:");
    for watches in [1, 1_000, 4_500, 20_000] {
        let text = written(watches);
        let once = || {
            let began = Instant::now();
            let read = parse(&text, "sentry.yaml", &env);
            (began.elapsed(), read.map_or(0, |config| config.watches.len()))
        };
        let (quickest, read) = (0..5).map(|_| once()).min().unwrap_or_default();
        println!("  {read} of {watches} watches, {} bytes: {quickest:?}", text.len());
    }
}
