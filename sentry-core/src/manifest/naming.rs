//! Names and marks that Sentry gives: a run's deterministic name, labels and annotations.

use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::Context;
use crate::plan::{KEY_ANNOTATION, commit_label};
use crate::repo::CommitSha;

/// What a run's name keeps of its base: with two dashes, eight digits of the commit and sixteen of the key it fills
/// 63 characters at most.
const BASE_LEN: usize = 37;

/// What Sentry's labels and annotations start with.
const PREFIX: &str = "sentry-gitops.dev/";

/// Tekton's Pipelines-as-Code takes a run over that carries this.
const PAC_STATE: &str = "pipelinesascode.tekton.dev/state";

/// All that makes a run the same run at every attempt. The key holds all of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct RunIdentity<'a> {
    pub(super) path: &'a str,
    /// The document's place in its file, from 1.
    pub(super) ordinal: usize,
    pub(super) kind: &'a str,
    /// `name`, or `generateName` without its trailing dash; not shortened.
    pub(super) base: &'a str,
}

impl RunIdentity<'_> {
    /// The key: one run per key. B's commit is part of it only where it is why the head is delivered again.
    pub(super) fn key(&self, context: &Context<'_>) -> String {
        format!(
            "{}|{}|{}|{}|{}|{}|{}|{}",
            context.watch.name,
            context.subject_key(),
            context.revision.sha,
            self.path,
            self.kind,
            self.base,
            self.ordinal,
            context.again.unwrap_or_default(),
        )
    }
}

/// The name of the run with the given base and key: a DNS label of at most 63 characters.
pub(super) fn run_name(base: &str, sha: &CommitSha, key: &str) -> String {
    let digest = Sha256::digest(key.as_bytes());
    let hash = data_encoding::BASE32_NOPAD.encode(&digest[..10]).to_ascii_lowercase();
    format!("{}-{}-{hash}", label_base(base), sha.short())
}

/// The name of the Secret by which a delivery's runs clone A: the same at every attempt, and its own where the
/// head is delivered again.
pub(super) fn git_auth_name(context: &Context<'_>) -> String {
    let again = context.again.unwrap_or_default();
    let sha = &context.revision.sha;
    let key = format!("{}|{}|{sha}|{again}", context.watch.name, context.subject_key());
    run_name("git-auth", sha, &key)
}

fn label_base(base: &str) -> String {
    let valid = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let mapped: String = base.chars().map(valid).collect();
    let start = mapped.trim_start_matches('-');
    let cut = start[..start.len().min(BASE_LEN)].trim_end_matches('-');
    if cut.is_empty() { "run".to_owned() } else { cut.to_owned() }
}

/// Writes Sentry's labels and annotations into the metadata. True if a mark was removed by which
/// Pipelines-as-Code would take the object over.
pub(super) fn mark(
    metadata: &mut Map<String, Value>,
    context: &Context<'_>,
    key: Option<&str>,
) -> bool {
    let mut labels = section(metadata, "labels");
    let mut taken_over = labels.remove(PAC_STATE).is_some();
    for (name, value) in [
        ("watch", context.watch.name.as_str()),
        ("delivery", context.delivery.as_str()),
        // The annotation `revision` has all of it.
        ("commit", commit_label(&context.revision.sha)),
    ] {
        labels.insert(format!("{PREFIX}{name}"), value.into());
    }
    metadata.insert("labels".to_owned(), labels.into());

    let mut annotations = section(metadata, "annotations");
    taken_over |= annotations.remove(PAC_STATE).is_some();
    let subject = context.revision.subject.text();
    for (name, value) in [
        ("branch", &*subject),
        ("revision", context.revision.sha.as_str()),
        ("source-url", context.watch.source.repo.as_str()),
        ("manifests-url", context.watch.manifests.repo.as_str()),
        ("manifests-branch", context.manifests.subject.name()),
        ("manifests-revision", context.manifests.sha.as_str()),
    ] {
        annotations.insert(format!("{PREFIX}{name}"), value.into());
    }
    match key {
        Some(key) => annotations.insert(KEY_ANNOTATION.to_owned(), key.into()),
        None => annotations.remove(KEY_ANNOTATION),
    };
    metadata.insert("annotations".to_owned(), annotations.into());
    taken_over
}

/// The mapping under a name, taken out; empty if it is absent or null. The policy has refused anything else.
fn section(metadata: &mut Map<String, Value>, name: &str) -> Map<String, Value> {
    match metadata.remove(name) {
        Some(Value::Object(map)) => map,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn sha() -> CommitSha {
        "1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d".parse().unwrap()
    }

    fn is_dns_label(name: &str) -> bool {
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        (1..=63).contains(&name.len())
            && name.bytes().all(inner)
            && !name.starts_with('-')
            && !name.ends_with('-')
    }

    #[test]
    fn a_run_name_is_base_commit_and_sixteen_digits_of_the_key() {
        assert_eq!(run_name("qa", &sha(), "key"), "qa-1a2b3c4d-fryock32azdpsitz");
        assert_ne!(run_name("qa", &sha(), "key"), run_name("qa", &sha(), "key2"));
    }

    #[test]
    fn a_base_is_cut_to_a_valid_start_of_a_label() {
        let long = format!("{}-x", "a".repeat(36));
        for (base, want) in [
            ("Build.It_Now", "build-it-now"),
            ("--x--", "x"),
            ("", "run"),
            ("...", "run"),
            ("ünï", "n"),
            (long.as_str(), &"a".repeat(36)),
            (&"b".repeat(200), &"b".repeat(37)),
        ] {
            assert_eq!(label_base(base), want, "{base}");
        }
    }

    /// A base of any kind: cut at its limit, with dots, capitals, dashes at its ends, foreign letters, or empty.
    fn base(random: &mut fastrand::Rng) -> String {
        let length = random.usize(0..45);
        match random.u8(0..4) {
            0 => (0..length).map(|_| random.char(' '..'ÿ')).collect(),
            1 => (0..length).map(|_| *random.choice(b"aZ09.-_").unwrap() as char).collect(),
            2 => "x".repeat(36 + length % 3) + "-.Y",
            _ => (0..length).map(|_| random.lowercase()).collect(),
        }
    }

    /// `SENTRY_NAMES=1000000 cargo test -p sentry-core --lib naming` looks at as many as it says.
    #[test]
    fn different_runs_have_valid_and_distinct_names() {
        let number = std::env::var("SENTRY_NAMES").map_or(100_000, |text| text.parse().unwrap());
        let mut random = fastrand::Rng::with_seed(7);
        let mut tails = HashSet::new();
        let mut longest = 0;
        for i in 0..number {
            let base = base(&mut random);
            // Keys that differ in one place only, as those of one commit do.
            let name = run_name(&base, &sha(), &format!("w|main|{i}|a.yaml|TaskRun|x|1|"));
            assert!(is_dns_label(&name), "{base:?} → {name}");
            longest = longest.max(name.len());
            // Names are distinct if what the key gives them is.
            let tail: [u8; 16] = name.as_bytes()[name.len() - 16..].try_into().unwrap();
            assert!(tails.insert(tail), "{base:?}");
        }
        assert_eq!(longest, 63);
    }
}
