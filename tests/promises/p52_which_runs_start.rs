//! 52: no bound on deciding which runs start leaves one out. Trees and changes are made over every bound; whether a run
//! is needed is known from how they were made, by plain comparisons of names.

use fastrand::Rng;
use sentry_core::forge::{ChangedPaths, MAX_CHANGED_PATHS};
use sentry_core::manifest::Decision;
use sentry_core::testing::sample;
use sentry_tests::judge::scene::Scene;
use sentry_tests::promise::{cases, kept};
use sentry_tests::repo::Entry;
use sentry_tests::road::Road;
use serde_json::Value;

/// A run's annotations.
type Annotations = Vec<(&'static str, String)>;
/// True if a run is needed for these paths.
type Needed = Box<dyn Fn(&[String]) -> bool>;

fn document(name: &str, annotations: &[(&str, String)]) -> String {
    let lines: String = annotations
        .iter()
        .map(|(name, value)| {
            format!("    pipelinesascode.tekton.dev/{name}: {}\n", Value::from(value.as_str()))
        })
        .collect();
    format!(
        "---\napiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata:\n  name: {name}\n  annotations:\n\
         {lines}spec: {{pipelineSpec: {{tasks: []}}}}\n"
    )
}

/// What really changed, sorted: some files beside `src/x.go`, or not even that one.
fn paths(rng: &mut Rng) -> Vec<String> {
    let number = match rng.u8(0..10) {
        0..=5 => rng.usize(0..40),
        6..=7 => rng.usize(2_000..MAX_CHANGED_PATHS),
        _ => rng.usize(MAX_CHANGED_PATHS..MAX_CHANGED_PATHS + 200),
    };
    let fill = *rng.choice(&["a/", "docs/", "a/b/", "cmd/a/", "b", "x.go/"]).unwrap();
    let length = if rng.bool() { 20 } else { rng.usize(20..970) };
    let root = rng.choice(&["a/", "docs/", "b/"]).unwrap();
    let mut paths: Vec<String> =
        (0..number).map(|n| format!("{root}{}{n:05}", fill.repeat(length / fill.len()))).collect();
    if rng.u8(0..4) > 0 || paths.is_empty() {
        paths.push("src/x.go".to_owned());
    }
    paths.sort();
    paths
}

/// What is told of it.
fn told(rng: &mut Rng, paths: &[String]) -> Option<ChangedPaths> {
    let truncated = paths.len() > MAX_CHANGED_PATHS;
    let paths = paths.iter().take(MAX_CHANGED_PATHS).cloned().collect();
    (rng.u8(0..12) > 0).then_some(ChangedPaths { paths, truncated })
}

/// Patterns that fit no path that is made here.
fn idle_patterns(rng: &mut Rng) -> Vec<String> {
    let number = if rng.u8(0..4) == 0 { rng.usize(0..260) } else { rng.usize(0..6) };
    let one = |n: usize, rng: &mut Rng| match rng.u8(0..8) {
        0 => "*a*".repeat(rng.usize(1..400)) + "z",
        1 => "**/a/**/b/**/z".to_owned(),
        2 => format!("{{idle{n}"),
        3 => "{a".repeat(rng.usize(1..24)) + "z",
        4 => format!("z{}", "?".repeat(rng.usize(0..60))),
        _ => format!("idle{n}/**"),
    };
    (0..number).map(|n| one(n, rng)).collect()
}

fn by_lists(rng: &mut Rng) -> (Annotations, Needed) {
    let mut annotations =
        vec![("on-event", "push".to_owned()), ("on-target-branch", "main".to_owned())];
    let mut list = idle_patterns(rng);
    let place = rng.usize(0..=list.len());
    let (name, own, needed): (_, _, Needed) = match rng.u8(0..3) {
        0 => ("on-path-change", "src/**", Box::new(|paths| any(paths, "src/"))),
        1 => ("on-path-change", "*.go", Box::new(|paths| paths.iter().any(|p| p.ends_with(".go")))),
        _ => ("on-path-change-ignore", "docs/**", Box::new(|paths| !any(paths, "docs/"))),
    };
    list.insert(place, own.to_owned());
    annotations.push((name, format!("[{}]", list.join(", "))));
    (annotations, needed)
}

fn any(paths: &[String], prefix: &str) -> bool {
    paths.iter().any(|path| path.starts_with(prefix))
}

fn by_expression(rng: &mut Rng) -> (Annotations, Needed) {
    let (own, needed): (&str, Needed) = match rng.u8(0..8) {
        0 => ("'src/**'.pathChanged()", Box::new(|paths| any(paths, "src/"))),
        1 => ("!'docs/**'.pathChanged()", Box::new(|paths| !any(paths, "docs/"))),
        2 => ("files.all.exists(x, x.startsWith('src/'))", Box::new(|paths| any(paths, "src/"))),
        3 => ("files.all.exists(x, x.matches('^src/.*go$'))", Box::new(|paths| any(paths, "src/"))),
        4 => ("!files.all.all(x, !x.matches('^(src|z)/'))", Box::new(|paths| any(paths, "src/"))),
        5 => (
            "files.all.filter(x, files.all.exists(y, y == x && x == 'src/x.go')).size() == 1",
            Box::new(|paths| any(paths, "src/")),
        ),
        6 => (
            "files.all.map(x, x + x + x).exists(x, x.contains('src/x.go'))",
            Box::new(|paths| any(paths, "src/")),
        ),
        _ => (
            "files.all.all(x, files.all.all(y, !(x + y).contains('docs/')))",
            Box::new(|paths| !paths.iter().any(|p| p.contains("docs/"))),
        ),
    };
    let operators = |rng: &mut Rng| "false || ".repeat(rng.usize(0..240));
    let pad = match rng.u8(0..8) {
        0 => operators(rng),
        1 => format!("event == '{}' || ", "y".repeat(rng.usize(1..6_000))),
        2 => {
            let depth = rng.usize(1..40);
            format!("{}false{} || ", "(".repeat(depth), ")".repeat(depth))
        }
        3 => (0..rng.usize(1..45)).map(|n| format!("event.matches('z{n}') || ")).collect(),
        4 => "files.all.all(a, files.all.all(b, files.all.all(c, a == '' || b != c))) && false || "
            .to_owned(),
        5 => format!("'a'.matches('{}z') || ", "(e?){60}".repeat(rng.usize(1..9))),
        6 => format!("'{}z'.pathChanged() || ", "{a*,b}".repeat(rng.usize(1..180))),
        _ => String::new(),
    };
    (vec![("on-cel-expression", format!("event == 'push' && ({pad}{own})"))], needed)
}

/// What was seen of the runs.
#[derive(Debug, Default)]
struct Seen {
    runs: usize,
    needed: usize,
    started: usize,
    uncertain: usize,
    refused: usize,
    skipped: usize,
}

fn judge(seen: &mut Seen, needed: bool, decision: Decision, reason: &str, text: &str) {
    seen.runs += 1;
    seen.needed += usize::from(needed);
    match decision {
        Decision::Run => {
            let uncertain = reason.contains("counts as changed");
            assert!(needed || uncertain, "started without need: {reason}\n{text:.3000}");
            seen.started += 1;
            seen.uncertain += usize::from(uncertain);
        }
        Decision::Refuse => seen.refused += 1,
        _ => {
            assert!(!needed, "silently missing: {reason}\n{text:.3000}");
            seen.skipped += 1;
        }
    }
}

#[test]
fn no_bound_leaves_out_a_run_that_is_needed() {
    let (number, mut rng, mut seen) = (cases(10_000, 120), Rng::with_seed(52), Seen::default());
    for _ in 0..number {
        let changed = paths(&mut rng);
        let runs = if rng.u8(0..20) == 0 { rng.usize(20..90) } else { rng.usize(1..6) };
        let rules: Vec<_> = (0..runs)
            .map(|_| if rng.bool() { by_lists(&mut rng) } else { by_expression(&mut rng) })
            .collect();
        let text: String = rules
            .iter()
            .enumerate()
            .map(|(n, (annotations, _))| document(&format!("run-{n}"), annotations))
            .collect();
        let mut scene = Scene::default();
        scene.changed = told(&mut rng, &changed);
        scene.revision.subject = sample::subject("main");
        let set = scene.prepare(&[("a.yaml", text.as_bytes())]);
        assert_eq!(set.decisions.len(), rules.len(), "{}", set.decisions[0].reason);
        for (decision, (annotations, needed)) in set.decisions.iter().zip(&rules) {
            let text = format!("{annotations:?}");
            judge(&mut seen, needed(&changed), decision.decision, &decision.reason, &text);
        }
        let started = set.decisions.iter().filter(|d| d.decision == Decision::Run).count();
        assert_eq!(set.objects.len(), started, "what starts is sent");
    }
    let Seen { runs, needed, started, uncertain, refused, skipped } = seen;
    assert!(uncertain > 0 && refused > 0 && skipped > 0 && started > uncertain, "{seen:?}");
    kept(
        52,
        "trees and changes",
        &format!(
            "{number} trees with {runs} runs, of which {needed} were needed: {started} started ({uncertain} as changed \
             since it could not be told), {refused} refused with a reason, {skipped} skipped, none of these needed"
        ),
    );
}

/// B's runs: each is needed for `src/x.go`.
fn tree(more: &str) -> String {
    let both = || vec![("on-event", "push".to_owned()), ("on-target-branch", "main".to_owned())];
    let with = |name, value: &str| [both(), vec![(name, value.to_owned())]].concat();
    [
        with("on-path-change", "[go.mod, cmd/**, pkg/**, src/**]"),
        with("on-path-change-ignore", "[docs/**, '*.md', README.md]"),
        vec![("on-cel-expression", "event == 'push' && 'src/**'.pathChanged()".to_owned())],
        vec![("on-cel-expression", "files.all.exists(x, x.matches('^src/'))".to_owned())],
    ]
    .iter()
    .enumerate()
    .map(|(n, annotations)| document(&format!("run-{n}"), annotations))
    .chain([more.to_owned()])
    .collect()
}

#[test]
fn a_large_commit_starts_what_it_needs_by_the_real_program() {
    let file = tree("");
    let road = Road::with(&[(".tekton/runs.yaml", &file)]);
    assert_eq!(road.once().code, Some(0));
    road.push();
    assert_eq!(road.once().code, Some(0), "changes are counted from here");
    let sizes = [(2_900, 950), (3_100, 30), (20, 950), (2_990, 400), (9_000, 60), (0, 0)];
    let before = road.runs().len();
    let mut started = before;
    for (number, bytes) in sizes.into_iter().take(cases(sizes.len(), 2)) {
        let folder = "a".repeat(200) + "/";
        let fill: String = folder.repeat(5).chars().take(bytes).collect();
        let name = |n| Entry::file(&format!("{bytes}/{fill}{n:05}"), "");
        let own = Entry::file("src/x.go", format!("{number} {bytes}"));
        let entries: Vec<_> = (0..number).map(name).chain([own]).collect();
        let sha = road.a.commit_entries("main", &entries, "a large change");
        let output = road.once();
        started += 4;
        assert_eq!((output.code, road.runs().len()), (Some(0), started), "{}", road.why(&sha));
    }
    let long = "x".repeat(4_100);
    let broken = document("large", &[("on-cel-expression", format!("event != '{long}'"))]);
    road.b.commit("main", &[(".tekton/runs.yaml", &tree(&broken))], "too large");
    let sha = road.push();
    let output = road.once();
    assert_eq!((output.code, road.runs().len()), (Some(1), started), "{}", road.why(&sha));
    assert!(road.why(&sha).contains("4096 bytes"), "{}", road.why(&sha));
    kept(
        52,
        "by the real program",
        &format!("{started} of {started} runs that large commits need"),
    );
}
