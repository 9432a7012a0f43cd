//! Any expression in a run's `on-cel-expression`, over any changed path: nothing panics, and it ends.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sentry_core::forge::ChangedPaths;
use sentry_tests::judge::scene::Scene;

fuzz_target!(|text: &str| {
    let (path, expression) = text.split_once('\n').unwrap_or(("", text));
    let changed = ChangedPaths { paths: vec![path.to_owned()], ..ChangedPaths::default() };
    let scene = Scene { changed: Some(changed), ..Scene::default() };
    let expression = serde_json::Value::from(expression);
    let document = format!(
        "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata:\n  name: a\n  annotations:\n    \
         pipelinesascode.tekton.dev/on-cel-expression: {expression}\nspec: {{}}\n"
    );
    let set = scene.prepare(&[("a.yaml", document.as_bytes())]);
    assert_eq!(set.decisions.len(), 1);
    assert_eq!(set, scene.prepare(&[("a.yaml", document.as_bytes())]), "the same each time");
});
