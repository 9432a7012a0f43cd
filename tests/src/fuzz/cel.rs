//! Any expression in a run's `on-cel-expression`, over any changed path: nothing panics, and it ends.

use crate::judge::scene::Scene;
use sentry_core::forge::ChangedPaths;

/// Judges one input; bytes that are no text are replaced.
///
/// # Panics
/// If the judge finds against Sentry.
pub fn cel(bytes: &[u8]) {
    let text = &*String::from_utf8_lossy(bytes);
    let (path, expression) = text.split_once('\n').unwrap_or(("", text));
    let changed = ChangedPaths { paths: vec![path.to_owned()], ..ChangedPaths::default() };
    let mut scene = Scene::default();
    scene.changed = Some(changed);
    let expression = serde_json::Value::from(expression);
    let document = format!(
        "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata:\n  name: a\n  annotations:\n    \
         pipelinesascode.tekton.dev/on-cel-expression: {expression}\nspec: {{}}\n"
    );
    let set = scene.prepare(&[("a.yaml", document.as_bytes())]);
    assert_eq!(set.decisions.len(), 1);
    assert_eq!(set, scene.prepare(&[("a.yaml", document.as_bytes())]), "the same each time");
}
