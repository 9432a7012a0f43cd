//! What a pusher of A chooses is a value, wherever B's files use it, and never a part of a program.

use super::Scene;
use crate::forge::ChangedPaths;
use crate::manifest::{Decision, ManifestSet};
use crate::testing::sample;

/// A run with one annotation of Pipelines-as-Code, whose value is written as YAML has it.
fn annotated(name: &str, value: &str) -> String {
    let value = serde_json::to_string(value).unwrap();
    format!(
        "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata:\n  name: qa\n  annotations:\n    \
         pipelinesascode.tekton.dev/{name}: {value}\nspec: {{}}\n"
    )
}

/// What a push to a branch by an author comes to.
fn pushed(branch: &str, sender: &'static str, text: &str) -> ManifestSet {
    let mut scene = Scene { sender: Some(sender), ..Scene::default() };
    scene.revision.subject = sample::subject(branch);
    let paths = ["docs/a.md", "src/main.rs", "release/notes.md"].map(str::to_owned).to_vec();
    scene.changed = Some(ChangedPaths { paths, truncated: false });
    scene.watch.variables.insert("globs".to_owned(), "docs/**, main".to_owned());
    scene.watch.variables.insert("yes".to_owned(), "true".to_owned());
    scene.prepare(text)
}

fn decision(set: &ManifestSet) -> Decision {
    set.decisions[0].decision
}

/// Branches that are programs in one language or another, as git lets them be called.
const BRANCHES: &[&str] = &[
    "main",
    "release/1.0",
    "evil\"||true||\"",
    "evil'||true||'",
    "evil\"||\"\"==\"",
    "a.+|main",
    "(main)",
    "main$|x",
    "{main,docs}",
    "main,docs",
    "main]",
    "!main",
    "{{revision}}",
    "refs/heads/main",
    "release/$(params.x)",
    "true",
    "files.all.size()>0",
    "push",
    "&#44;",
];

#[test]
fn a_value_in_a_text_of_an_expression_is_a_part_of_that_text() {
    for branch in BRANCHES {
        for (expression, want) in [
            (
                "event == \"push\" && \"{{ source_branch }}\".startsWith(\"release/\")",
                branch.starts_with("release/"),
            ),
            ("'{{source_branch}}' == target_branch", true),
            ("\"\"\"{{ source_branch }}\"\"\" == 'main'", *branch == "main"),
            ("'''x{{ source_branch }}''' == 'xmain'", *branch == "main"),
            ("r\"{{ source_branch }}\" == source_branch", true),
            (
                "\"a{{ source_branch }}b{{ target_branch }}c\" == 'a' + source_branch + 'b' + source_branch + 'c'",
                true,
            ),
            ("\"refs/heads/{{ source_branch }}\" == target_branch", true),
            ("['{{ source_branch }}'].exists(b, b == 'main')", *branch == "main"),
            ("{'{{ source_branch }}': true}[source_branch]", true),
            ("size('{{ source_branch }}') == size(source_branch)", true),
            ("event == 'push' // {{ source_branch }}", true),
            // A pattern with a value in it matches that value.
            ("source_branch.matches('^{{ source_branch }}$')", true),
            ("'main'.matches('^{{ source_branch }}$')", *branch == "main"),
            ("'xmain'.matches('^(x|y){{ source_branch }}$')", *branch == "main"),
            ("'{{ source_branch }}/**'.pathChanged()", *branch == "release"),
            ("'{{ source_branch }}*'.pathChanged()", *branch == "docs"),
            // Of the configuration's values the same holds.
            ("target_branch.matches('^({{ globs }})$')", false),
            ("'{{ globs }}'.pathChanged()", false),
            ("'{{ yes }}' == 'true' && yes == 'true'", true),
        ] {
            let set = pushed(branch, "ada", &annotated("on-cel-expression", expression));
            let want = if want { Decision::Run } else { Decision::Skip };
            assert_eq!(decision(&set), want, "{branch}: {expression}: {}", set.decisions[0].reason);
        }
    }
}

#[test]
fn a_value_that_would_be_a_part_of_an_expression_is_refused_where_it_decides() {
    for (expression, word) in [
        ("{{ source_branch }} == 'main'", "write it in quotes, \"{{ source_branch }}\""),
        ("event == 'push' && {{ yes }}", "\"{{ yes }}\""),
        ("{{ source_branch }}.startsWith('release/')", "outside quotes"),
        ("target_branch in [{{ globs }}]", "outside quotes"),
        ("'docs/a.md'.matches('^' + source_branch)", "the pattern of `matches`"),
        ("'docs/a.md'.matches(string('{{ source_branch }}'))", "the pattern of `matches`"),
        ("files.all.exists(f, 'x'.matches(f))", "that a pusher chooses"),
        (
            "[event_title].filter(t, true).exists(t, t.pathChanged())",
            "the pattern of `pathChanged`",
        ),
        ("['{{ source_branch }}/**'].exists(p, p.pathChanged())", "the pattern of `pathChanged`"),
        // Whatever it is put into holds it.
        ("'x'.matches([source_branch, 'a'][1])", "the pattern of `matches`"),
        ("'x'.matches({'a': source_branch}['a'])", "the pattern of `matches`"),
        ("'x'.matches({'a': source_branch, 'b': 'c'}.b)", "the pattern of `matches`"),
        ("{source_branch: 'a'}.exists(k, 'x'.matches(k))", "the pattern of `matches`"),
        ("'x'.matches([source_branch, source_branch][0])", "the pattern of `matches`"),
        ("'x'.matches({source_branch: source_branch}['a'])", "the pattern of `matches`"),
        ("'x'.matches({'a': source_branch, source_branch: 'b'}['a'])", "the pattern of `matches`"),
        ("'main'.matches('[{{ source_branch }}]')", "inside `[…]`"),
        ("'main'.matches(r'\\{{ source_branch }}')", "after a backslash"),
    ] {
        let set = pushed("main", "ada", &annotated("on-cel-expression", expression));
        let reason = &set.decisions[0].reason;
        assert!(
            decision(&set) == Decision::Refuse && reason.contains(word),
            "{expression}: {reason}"
        );
        // Where it does not decide it stops nothing, as what a push does not have.
        let other = format!("event == 'pull_request' && {expression}");
        assert_eq!(
            decision(&pushed("main", "ada", &annotated("on-cel-expression", &other))),
            Decision::Skip
        );
    }
    for (expression, want) in [
        ("x{{ source_branch }} == 'main'", Decision::Refuse),
        ("{'a': 1}.{{ source_branch }} == 1", Decision::Refuse),
        ("{{ source_branch }}(1)", Decision::Refuse),
        ("'\\{{ source_branch }}' == 'x'", Decision::Refuse),
        ("['docs/**', 'x/**'].exists(p, p.pathChanged())", Decision::Run),
        ("['docs/**'].filter(p, source_branch == 'main')[0].pathChanged()", Decision::Run),
        ("files.all.exists(f, f.matches('^docs/'))", Decision::Run),
        ("'docs/a.md'.matches('^' + 'docs')", Decision::Run),
    ] {
        let set = pushed("main", "ada", &annotated("on-cel-expression", expression));
        assert_eq!(decision(&set), want, "{expression}: {}", set.decisions[0].reason);
    }
}

#[test]
fn a_value_in_a_list_of_patterns_is_one_text_and_no_pattern() {
    for branch in BRANCHES {
        for (name, value, want) in [
            ("on-target-branch", "{{ source_branch }}", true),
            ("on-target-branch", "[dev, {{ source_branch }}]", true),
            ("on-target-branch", "[{{ sender }}]", false),
            ("on-target-branch", "[x{{ sender }}]", false),
            ("on-target-branch", "[{{ globs }}]", false),
            ("on-event", "[{{ source_branch }}]", *branch == "push"),
            ("on-event", "[x{{ source_branch }}]", false),
            ("on-path-change", "[{{ source_branch }}]", false),
            ("on-path-change", "[{{ globs }}]", false),
            ("on-path-change", "[{{ sender }}]", false),
            ("on-path-change", "[src/{{ sender }}rs, zzz]", false),
            ("on-path-change-ignore", "[{{ sender }}]", true),
            ("on-path-change-ignore", "[{{ source_branch }}]", true),
        ] {
            for sender in ["*", "**", "main,*", "[a-z]*", "{main,src/**}", "?ain", "a\\", "[", "]"]
            {
                let set = pushed(branch, sender, &annotated(name, value));
                let want = if want { Decision::Run } else { Decision::Skip };
                assert_eq!(
                    decision(&set),
                    want,
                    "{branch} {sender}: {name} {value}: {}",
                    set.decisions[0].reason
                );
            }
        }
    }
    for value in ["[ma[{{ sender }}]n]", "ma\\{{ sender }}"] {
        let set = pushed("main", "i", &annotated("on-target-branch", value));
        assert!(set.decisions[0].reason.contains("move it outside"), "{}", set.decisions[0].reason);
        assert_eq!(decision(&set), Decision::Refuse);
    }
}

#[test]
fn a_value_in_an_annotation_names_one_remote_task_and_a_list_that_can_not_be_read_is_refused() {
    let noted = |value: &str, branch: &str| {
        let set = pushed(branch, "ada", &annotated("task", value));
        assert_eq!(decision(&set), Decision::Run);
        set.notes
    };
    let notes = noted("[git-clone, https://h/{{ source_branch }}/t.yaml]", "a,https/evil/b]");
    assert_eq!(notes.len(), 2, "{notes:?}");
    let encoded = "`https://h/a%2Chttps/evil/b%5D/t.yaml` is not fetched";
    assert!(notes[1].contains(encoded), "{notes:?}");
    for (value, word) in [
        ("[foo", "the annotation task `[foo` is neither one value nor a list `[a, b]`"),
        ("a b", "neither one value nor a list"),
        ("[]", "is empty"),
        ("foo]", "neither one value nor a list"),
    ] {
        let set = pushed("main", "ada", &annotated("task", value));
        let reason = &set.decisions[0].reason;
        assert!(decision(&set) == Decision::Refuse && reason.contains(word), "{value}: {reason}");
    }
}
