//! Branches and paths are matched as Pipelines-as-Code matches them, all the way from a document to its decision.

use super::Scene;
use crate::forge::ChangedPaths;
use crate::manifest::{Decision, ManifestSet};
use crate::testing::sample;

fn run(annotations: &[(&str, &str)]) -> String {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let lines: String = annotations
        .iter()
        .map(|(name, value)| format!("    pipelinesascode.tekton.dev/{name}: {}\n", quoted(value)))
        .collect();
    format!(
        "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata:\n  name: qa\n  annotations:\n\
         {lines}spec: {{}}\n"
    )
}

fn changed(paths: impl IntoIterator<Item = String>) -> Option<ChangedPaths> {
    Some(ChangedPaths { paths: paths.into_iter().collect(), truncated: false })
}

/// What is decided about a push to a branch that changed some paths.
fn decided(branch: &str, paths: Option<ChangedPaths>, text: &str) -> ManifestSet {
    let mut scene = Scene { changed: paths, ..Scene::default() };
    scene.revision.subject = sample::subject(branch);
    scene.prepare(text)
}

#[test]
fn a_branch_or_path_fits_where_pipelines_as_code_says_so() {
    let mut rows = 0;
    for line in include_str!("recorded/pac-patterns.tsv").lines().filter(|l| !l.starts_with('#')) {
        let [kind, annotation, text, want] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("not four columns: {line}")
        };
        let set = match kind {
            "target-branch" => {
                decided(text, None, &run(&[("on-event", "push"), ("on-target-branch", annotation)]))
            }
            _ => decided(
                "main",
                changed([text.to_owned()]),
                &run(&[
                    ("on-event", "push"),
                    ("on-target-branch", "*"),
                    ("on-path-change", annotation),
                ]),
            ),
        };
        let want = match want {
            "match" => Decision::Run,
            "no" => Decision::Skip,
            _ => Decision::Refuse,
        };
        assert_eq!(set.decisions[0].decision, want, "{line}: {}", set.decisions[0].reason);
        rows += 1;
    }
    println!("{rows} recorded answers agree");
    assert_eq!(rows, 3_055);
}

#[test]
fn path_changed_compares_its_pattern_without_a_branchs_prefix() {
    for (expression, want) in [
        ("'**/x.md'.pathChanged()", Decision::Skip),
        ("'docs/**/x.md'.pathChanged()", Decision::Run),
        ("'refs/heads/x.md'.pathChanged()", Decision::Skip),
        ("'{docs,x}*'.pathChanged()", Decision::Run),
    ] {
        let paths = changed(
            ["x.md".to_owned(), "docs/x.md".to_owned()]
                .into_iter()
                .take(if expression.contains("docs") { 2 } else { 1 }),
        );
        let set = decided("main", paths, &run(&[("on-cel-expression", expression)]));
        assert_eq!(set.decisions[0].decision, want, "{expression}: {}", set.decisions[0].reason);
    }
    let set = decided(
        "main",
        changed(["x.md".to_owned()]),
        &run(&[("on-event", "push"), ("on-target-branch", "main"), ("on-path-change", "**/x.md")]),
    );
    assert_eq!(set.decisions[0].decision, Decision::Run, "the annotation's is under refs/heads/");
}

#[test]
fn a_comma_in_braces_ends_a_pattern_which_is_told() {
    let paths = || changed(["docs/a.adoc".to_owned()]);
    let with = |list: &str| {
        run(&[("on-event", "push"), ("on-target-branch", "main"), ("on-path-change", list)])
    };
    let set = decided("main", paths(), &with("[docs/*.{md,adoc}]"));
    assert_eq!(set.decisions[0].decision, Decision::Skip);
    assert!(set.decisions[0].reason.contains("&#44;"), "{}", set.decisions[0].reason);
    let set = decided("main", paths(), &with("[docs/*.{md,adoc}, docs/**]"));
    assert!(set.notes.iter().any(|note| note.contains("&#44;")), "{:?}", set.notes);
    let set = decided("main", paths(), &with("[docs/*.{md&#44;adoc}]"));
    assert_eq!(set.decisions[0].decision, Decision::Run);
}

/// So many empty files beside the one that the run is for, with names as long as file systems take.
fn beside(number: usize, bytes: usize, own: &str) -> Option<ChangedPaths> {
    let fill = "a/".repeat(bytes / 2);
    let mut paths: Vec<String> = (0..number).map(|n| format!("{fill}{n:05}")).collect();
    paths.push(own.to_owned());
    paths.sort();
    changed(paths)
}

#[test]
fn a_run_that_a_large_push_needs_is_never_left_out() {
    let list = |value: &str| {
        run(&[("on-event", "push"), ("on-target-branch", "main"), ("on-path-change", value)])
    };
    let expression = |value: &str| run(&[("on-cel-expression", value)]);
    for (text, exactly) in [
        (list("[go.mod, cmd/**, pkg/**, src/**]"), true),
        (list("[go.mod, **/cmd/**/x/**/y, src/*.go]"), false),
        (expression("\"src/**\".pathChanged()"), true),
        (expression("files.all.exists(x, x.startsWith('src/'))"), false),
        (expression("!files.all.all(x, files.all.all(y, x.contains('a/a') || y == x))"), false),
        (expression("!'docs/**'.pathChanged() && !'**/docs/**/z'.pathChanged()"), false),
        (expression("files.all.filter(x, x.matches('^src/.*go$')).size() == 1"), false),
        (expression("files.all.map(x, x + x).exists(x, x == 'src/x.gosrc/x.go')"), false),
        (
            run(&[
                ("on-event", "push"),
                ("on-target-branch", "main"),
                ("on-path-change-ignore", "[docs/**, **/docs/**/z, *.md]"),
            ]),
            false,
        ),
    ] {
        let set = decided("main", beside(2_900, 970, "src/x.go"), &text);
        let (decision, reason) = (set.decisions[0].decision, &set.decisions[0].reason);
        assert_eq!(decision, Decision::Run, "{text}: {reason}");
        assert!(!exactly || !reason.contains("not known"), "{text}: {reason}");
        assert!(set.objects.len() == 1, "{text}");
    }
}

#[test]
fn a_path_that_patterns_had_no_time_to_be_compared_with_counts_as_changed() {
    let idle: String = (0..20).map(|n| format!("*q{n}*, ")).collect();
    let wanted = run(&[
        ("on-event", "push"),
        ("on-target-branch", "main"),
        ("on-path-change", &format!("[{idle}src/*.go]")),
    ]);
    let set = decided("main", beside(2_900, 970, "src/x.go"), &wanted);
    let (decision, reason) = (set.decisions[0].decision, &set.decisions[0].reason);
    assert_eq!(decision, Decision::Run, "{reason}");
    assert!(reason.contains("which takes too long to compute, is unknown and counts"), "{reason}");
}

#[test]
fn what_one_document_uses_up_is_not_lacking_for_the_next_ones() {
    let costly = run(&[(
        "on-cel-expression",
        "event == 'push' && files.all.all(a, files.all.all(b, a != b || true)) && false",
    )]);
    let wanted = run(&[
        ("on-event", "push"),
        ("on-target-branch", "main"),
        ("on-path-change", "[cmd/**, src/**]"),
    ]);
    let text = format!("{}---\n{wanted}", format!("---\n{costly}").repeat(60));
    let set = decided("main", beside(2_900, 970, "src/x.go"), &text);
    let last = set.decisions.last().unwrap();
    assert_eq!(last.decision, Decision::Run, "{}", last.reason);
    assert!(!last.reason.contains("not known"), "{}", last.reason);
}

#[test]
fn what_its_author_made_too_large_is_refused_with_the_limit() {
    let long = format!("event == 'push' || '{}' == event", "x".repeat(4_100));
    let deep = format!("{}true{}", "(".repeat(30), ")".repeat(30));
    let costly = format!(
        "[{}].all(a, [{}].all(b, a < 'x'.size() || b < 9))",
        "1,".repeat(180) + "1",
        "1,".repeat(180) + "1"
    );
    let costly = format!("[1,2,3,4,5,6,7,8].all(a, [1,2,3,4,5,6,7,8].all(c, {costly}))");
    let many = format!("[{}]", vec!["main"; 201].join(", "));
    let wide = format!("[{}]", "a".repeat(1_001));
    for (name, value, word) in [
        ("on-cel-expression", long.as_str(), "4096 bytes"),
        ("on-cel-expression", &deep, "24 nested brackets"),
        ("on-cel-expression", &costly, "takes too long: simplify it"),
        ("on-cel-expression", "event == 'push' &&", "can't be read"),
        ("on-cel-expression", "event == 'push' || nobody", "no variable `nobody`"),
        ("on-target-branch", &many, "200 patterns"),
        ("on-target-branch", &wide, "1000 bytes"),
        ("on-target-branch", "[[a]", "[a"),
        ("on-target-branch", "[main, {{{{{{{{{{{{{{{{{main]", "16 nested `{`"),
    ] {
        let set = decided("main", changed([]), &run(&[(name, value)]));
        let (decision, reason) = (set.decisions[0].decision, &set.decisions[0].reason);
        assert_eq!(decision, Decision::Refuse, "{name} {word}: {reason}");
        assert!(reason.contains(word), "{word}: {reason}");
    }
    let most = format!("[{}]", vec!["main"; 200].join(", "));
    let set = decided("main", changed([]), &run(&[("on-target-branch", &most)]));
    assert_eq!(set.decisions[0].decision, Decision::Run, "{}", set.decisions[0].reason);
    let set =
        decided("main", changed([]), &run(&[("on-cel-expression", "event == 'x' && nobody")]));
    assert_eq!(set.decisions[0].decision, Decision::Skip, "it starts nothing in any case");
}
