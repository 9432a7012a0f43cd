//! Any name of a run, in any file, for any branch: the run's name is a DNS label, the same each time, and nobody else's.

use sentry_core::subject::Subject;
use std::collections::BTreeSet;

use crate::judge::scene::Scene;

fn is_label(name: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&name.len())
        && name.bytes().all(inner)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

/// The names of the runs of two documents in each of two files.
fn run_names(scene: &Scene, first: &str, second: &str) -> Vec<String> {
    let run = |name: &str, field: &str| {
        let name = serde_json::Value::from(name);
        format!(
            "---\napiVersion: tekton.dev/v1\nkind: TaskRun\nmetadata: {{{field}: {name}}}\nspec: {{}}\n"
        )
    };
    let one = run(first, "name") + &run(second, "generateName");
    let other = run(second, "name") + &run(first, "name");
    let set = scene.prepare(&[("a.yaml", one.as_bytes()), ("b.yaml", other.as_bytes())]);
    set.objects.iter().map(|planned| planned.object.name.clone()).collect()
}

/// Judges one input; bytes that are no text are replaced.
///
/// # Panics
/// If the judge finds against Sentry.
pub fn names(bytes: &[u8]) {
    let text = &*String::from_utf8_lossy(bytes);
    let mut lines = text.split('\n');
    let mut next = || lines.next().unwrap_or_default();
    let mut scene = Scene::default();
    if let Ok(branch) = next().parse() {
        scene.revision.subject = Subject::Branch(branch);
    }
    if let Ok(commit) = next().parse() {
        scene.revision.sha = commit;
    }
    let (first, second) = (next(), next());
    let given = run_names(&scene, first, second);
    assert_eq!(given, run_names(&scene, first, second), "the same each time");
    assert!(given.iter().all(|name| is_label(name)), "{given:?}");
    let distinct: BTreeSet<&String> = given.iter().collect();
    assert_eq!(distinct.len(), given.len(), "{given:?}");
}
