//! Findings as SARIF 2.1.0, which code scanners and editors read:
//! <https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html>.

use std::fmt::Write as _;

use sentry_core::text;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::findings::{Finding, Level, Linted, Rule};

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";
/// Where paths are relative to: GitHub's word for the root of the repository.
const ROOT: &str = "%SRCROOT%";
/// What our fingerprints are made of; another number would mean another way.
const FINGERPRINT: &str = "finding/v1";

#[derive(Debug, Serialize)]
pub(super) struct Log {
    #[serde(rename = "$schema")]
    schema: &'static str,
    version: &'static str,
    runs: [Run; 1],
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Run {
    tool: Tool,
    column_kind: &'static str,
    results: Vec<Outcome>,
}

#[derive(Debug, Serialize)]
struct Tool {
    driver: Driver,
}

#[derive(Debug, Serialize)]
struct Driver {
    name: &'static str,
    version: &'static str,
    rules: Vec<Descriptor>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    id: &'static str,
    short_description: Message,
    default_configuration: Configuration,
}

#[derive(Debug, Serialize)]
struct Configuration {
    level: &'static str,
}

#[derive(Debug, Serialize)]
struct Message {
    text: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Outcome {
    rule_id: &'static str,
    rule_index: usize,
    level: &'static str,
    message: Message,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    locations: Vec<Location>,
    partial_fingerprints: serde_json::Map<String, serde_json::Value>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Location {
    physical_location: Physical,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Physical {
    artifact_location: Artifact,
    region: Region,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Artifact {
    uri: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    uri_base_id: Option<&'static str>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Region {
    start_line: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_column: Option<usize>,
}

/// The whole file.
pub(super) fn log(linted: &Linted<'_>) -> Log {
    let rules = Rule::ALL.iter().map(|rule| Descriptor {
        id: rule.id(),
        short_description: Message { text: rule.about().to_owned() },
        default_configuration: Configuration { level: word(rule.level()) },
    });
    let driver =
        Driver { name: "sentry", version: env!("CARGO_PKG_VERSION"), rules: rules.collect() };
    let results = linted.findings.iter().map(|finding| outcome(finding, linted)).collect();
    // Columns are counted in characters, as the reader of YAML does.
    let run = Run { tool: Tool { driver }, column_kind: "unicodeCodePoints", results };
    Log { schema: SCHEMA, version: "2.1.0", runs: [run] }
}

fn outcome(finding: &Finding, linted: &Linted<'_>) -> Outcome {
    let Finding { rule, path, line, column, message, .. } = finding;
    let file = path.as_ref().map(|path| linted.file(path));
    let fingerprint = fingerprint(*rule, file.as_deref().unwrap_or_default(), message);
    let locations = file.iter().map(|file| Location {
        physical_location: Physical {
            artifact_location: artifact(file),
            region: Region { start_line: *line, start_column: *column },
        },
    });
    Outcome {
        rule_id: rule.id(),
        rule_index: Rule::ALL.iter().position(|one| one == rule).unwrap_or_default(),
        level: word(rule.level()),
        message: Message { text: text::clean(message) },
        locations: locations.collect(),
        partial_fingerprints: [(FINGERPRINT.to_owned(), fingerprint.into())].into_iter().collect(),
    }
}

fn word(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warning => "warning",
        Level::Note => "note",
    }
}

/// The same finding in a file whose lines moved has the same fingerprint.
fn fingerprint(rule: Rule, file: &str, message: &str) -> String {
    let what = serde_json::json!([rule.id(), file, message]).to_string();
    data_encoding::HEXLOWER.encode(&Sha256::digest(what.as_bytes())[..16])
}

fn artifact(file: &str) -> Artifact {
    if file.starts_with('/') {
        return Artifact { uri: format!("file://{}", encoded(file)), uri_base_id: None };
    }
    Artifact { uri: encoded(file), uri_base_id: Some(ROOT) }
}

/// A path as a URI reference (RFC 3986): all but unreserved characters and `/` is encoded, so that no part of a name is taken
/// for a scheme, a query or a fragment.
fn encoded(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                out.push(char::from(byte));
            }
            other => {
                write!(out, "%{other:02X}").ok();
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_of_a_file_is_anything_but_a_path() {
        for (file, uri) in [
            (".tekton/run.yaml", ".tekton/run.yaml"),
            ("javascript:x.yaml", "javascript%3Ax.yaml"),
            ("a?b#c%41.yaml", "a%3Fb%23c%2541.yaml"),
            ("a\u{202e}b\n.yaml", "a%E2%80%AEb%0A.yaml"),
            ("/abs/x.yaml", "file:///abs/x.yaml"),
        ] {
            let found = artifact(file);
            assert_eq!(found.uri, uri, "{file}");
            assert_eq!(found.uri_base_id.is_some(), !file.starts_with('/'));
        }
    }
}
