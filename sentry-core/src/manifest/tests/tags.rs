//! Heads that are tags: what Pipelines-as-Code says of a push of one.

use super::{Scene, config_map, run};
use crate::manifest::Decision;
use crate::testing::sample;

/// A push of the tag `v1.2`.
fn pushed() -> Scene {
    let mut scene = Scene::default();
    scene.revision.subject = sample::subject("refs/tags/v1.2");
    scene
}

#[test]
fn a_tag_starts_what_is_for_tags_and_nothing_that_is_for_branches() {
    for (annotations, is_started) in [
        ("on-event: '[push]'\non-target-branch: '[refs/tags/*]'", true),
        ("on-event: '[push]'\non-target-branch: 'refs/tags/v1.2'", true),
        ("on-event: '[push]'\non-target-branch: '[main, refs/tags/v1.*]'", true),
        ("on-event: '[push]'\non-target-branch: '[refs/tags/v2.*]'", false),
        ("on-event: '[push]'\non-target-branch: '[refs/heads/*]'", false),
        ("on-event: '[push]'\non-target-branch: '[*]'", false),
        ("on-event: '[push]'\non-target-branch: '[v1.2]'", false),
        ("on-event: '[push]'\non-target-branch: '[main]'", false),
        ("on-event: '[pull_request]'\non-target-branch: '[refs/tags/*]'", false),
        ("on-cel-expression: event == 'push' && target_branch == 'refs/tags/v1.2'", true),
        ("on-cel-expression: source_branch.startsWith('refs/tags/v')", true),
        ("on-cel-expression: target_branch.matches('^refs/tags/v[0-9]+[.][0-9]+$')", true),
        // A text in it holds `refs/heads/`: a branch is given with that, and a tag as it is.
        ("on-cel-expression: \"!target_branch.startsWith('refs/heads/')\"", true),
        ("on-cel-expression: target_branch in ['refs/heads/main', 'refs/tags/v1.2']", true),
        ("on-cel-expression: target_branch == 'v1.2'", false),
        ("on-cel-expression: target_branch == 'main'", false),
    ] {
        let lines = annotations.replace('\n', "\n    pipelinesascode.tekton.dev/");
        let text = format!(
            "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata:\n  name: a\n  annotations:\n    \
             pipelinesascode.tekton.dev/{lines}\nspec: {{}}\n"
        );
        let set = pushed().prepare(&text);
        let expected = if is_started { Decision::Run } else { Decision::Skip };
        assert_eq!(
            set.decisions[0].decision, expected,
            "{annotations}: {}",
            set.decisions[0].reason
        );
    }
    assert_eq!(pushed().prepare(&run("{name: a}")).decisions[0].decision, Decision::Run);
}

#[test]
fn variables_of_a_tag_are_those_of_pipelines_as_code() {
    for (name, value) in [
        ("source_branch", "refs/tags/v1.2"),
        ("target_branch", "refs/tags/v1.2"),
        ("git_tag", "v1.2"),
        ("event_type", "push"),
    ] {
        let text = config_map("{name: a}", &format!("'{{{{ {name} }}}}'"));
        assert_eq!(pushed().prepare(&text).objects[0].json["data"]["x"], value, "{name}");
    }
}

#[test]
fn a_branch_and_a_tag_of_one_name_make_runs_of_two_names() {
    let mut names = Vec::new();
    for text in ["v1.2", "refs/tags/v1.2", "refs/heads/tags/v1.2", "refs/heads/refs/tags/v1.2"] {
        let mut scene = Scene::default();
        scene.revision.subject = sample::subject(text);
        names.push(scene.prepare(&run("{name: a}")).objects[0].object.name.clone());
    }
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 4, "{names:?}");
}
