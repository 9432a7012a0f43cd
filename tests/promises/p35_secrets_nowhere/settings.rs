//! Configurations with secrets in the file itself, and a mistake somewhere.

use std::collections::BTreeMap;

use fastrand::Rng;
use sentry_config::Environment;
use sentry_tests::judge::canaries::canary;
use serde_json::json;

use super::{Secrets, Tally, told};

/// A configuration that is right, with every secret that it can hold: literal, or by a variable.
fn whole(rng: &mut Rng) -> String {
    let mut place = |name: &str| {
        let (text, variable) = (canary(name), format!("${{{}}}", name.to_uppercase()));
        match rng.u8(..4) {
            0 => json!(variable).to_string(),
            1 => format!("'{}'", text.replace('\'', "''")),
            _ => json!(text).to_string(),
        }
    };
    let password: String = canary("proxy").bytes().map(|b| format!("%{b:02X}")).collect();
    let proxy = format!("http://user:{password}@proxy.example.com:3128");
    format!(
        "server:\n  listen: 127.0.0.1:8080\n  read_token: {}\n  trigger_token: {}\n  \
         tokens:\n    - name: bot\n      token: {}\n      may: [read]\nforges:\n  hub:\n    type: github\n    \
         token: {}\n    report_token: {}\n    webhook_secret: {}\n    proxy: {}\n  \
         lab: {{type: gitlab, url: 'https://gitlab.example.com', token: {}, webhook_secret: {}}}\nwatches:\n  - name: qa\n    \
         source: {{forge: hub, url: 'https://github.com/a/b', branches: [main]}}\n    \
         manifests: {{forge: lab, url: 'https://gitlab.example.com/c/d', branch: main}}\n    cluster: {{namespace: qa}}\n",
        place("read_token"),
        place("trigger_token"),
        place("named_token"),
        place("token"),
        place("report_token"),
        place("webhook_secret"),
        json!(proxy),
        place("token"),
        place("webhook_secret"),
    )
}

/// The same with one to three mistakes of a person: none of them is in the secret itself.
fn mistaken(text: &str, rng: &mut Rng) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for _ in 0..rng.usize(1..4) {
        let at = rng.usize(..lines.len());
        let line = &mut lines[at];
        let key = line.find(':').unwrap_or(0);
        let indent = line.len() - line.trim_start().len();
        match rng.u8(..12) {
            0 if key > indent + 1 => _ = line.remove(rng.usize(indent..key)),
            1 if key > indent => line.insert(rng.usize(indent..key), rng.lowercase()),
            2 => line.insert(0, ' '),
            3 if line.starts_with(' ') => _ = line.remove(0),
            4 => *line = line.replacen(": ", ":", 1),
            5 => *line = line.replacen(": ", ": [", 1),
            6 => *line = line.replacen(": ", ": {a: ", 1),
            7 => {
                let again = line.clone();
                lines.insert(at, again);
            }
            8 => *line = line.replacen(": ", ": ${NO_SUCH_VARIABLE}", 1),
            9 => _ = line.pop(),
            10 => *line = line.replacen(": ", " = ", 1),
            _ => line.push_str(" x"),
        }
    }
    lines.join("\n")
}

pub(super) fn run(all: usize) -> Tally {
    let (secrets, mut rng, mut tally) = (Secrets::new(), Rng::with_seed(37), Tally::default());
    let names =
        ["token", "report_token", "webhook_secret", "read_token", "trigger_token", "named_token"];
    let vars = names.map(|name| (name.to_uppercase(), canary(name)));
    let env = Environment { vars: BTreeMap::from(vars), ..Environment::default() };
    for _ in 0..all {
        let text = mistaken(&whole(&mut rng), &mut rng);
        let mut errors = Vec::new();
        match sentry_config::parse(&text, "sentry.yaml", &env) {
            Ok(config) => {
                let warnings: Vec<_> = config.warnings.iter().map(ToString::to_string).collect();
                errors.push(format!("{config:?} {warnings:?} [secret]"));
                errors.push(sentry_config::to_long_form(&config));
            }
            Err(problems) => errors.push(told(&problems, None)),
        }
        tally.judge(&secrets, &errors, "");
    }
    tally
}
