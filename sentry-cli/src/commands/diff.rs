//! `sentry diff`: what a delivery would change on the cluster, object by object. Writes nothing, takes no lock.

use std::time::Duration;

use sentry_core::delivery::Selection;
use sentry_core::deployer::ObjectDiff;
use sentry_core::plan::Action;
use sentry_core::secret::Redactor;
use similar::TextDiff;

use super::Context;
use super::explain::{complain_of_refusals, for_questions, heading, uninterrupted};
use super::source::pick;
use crate::args::questions::DiffArgs;
use crate::exit::{Exit, Failure};
use crate::json;
use crate::ui::{Tone, Ui, count, plain, tinted};

/// Of a new object so many lines are shown; all of them would bury what changes.
const NEW_LINES: usize = 20;
/// Looking for the shortest difference of two large texts ends here; a longer one is as right.
const PATIENCE: Duration = Duration::from_secs(2);

pub(crate) async fn run(ctx: &Context, args: &DiffArgs) -> Result<Exit, Failure> {
    let config = ctx.start()?;
    let (watch, subject) = pick(&config, args.watch.as_ref(), args.branch.as_ref())?;
    let engine = for_questions(ctx, config).await?.engine;
    let (sha, selection) = (args.revision.as_ref(), Selection::default());
    let question = engine.diff(&watch, &subject, sha, &selection);
    let (preview, diffs) = uninterrupted(question).await?;
    complain_of_refusals(&ctx.ui, &preview);
    let refused = preview.plan.is_none() && preview.set.refusals().next().is_some();
    preview.check.clone()?;
    let objects = diffs.iter().map(|diff| to_json(diff, &ctx.redactor)).collect();
    let answer = json::Diff { version: json::VERSION, objects };
    ctx.ui.answer(args.output, &answer, names, |_| {
        heading(&ctx.ui, &preview.revision, &preview.manifests);
        if refused {
            ctx.ui.line("nothing would be delivered: documents are refused");
        } else {
            show(&ctx.ui, &diffs, &ctx.redactor);
        }
    })?;
    let changes = diffs.iter().any(|diff| sign(diff.action).0 != " ");
    Ok(if refused || changes { Exit::Failed } else { Exit::Done })
}

/// What would change: `task/smoke-test`, as kubectl names objects.
fn names(answer: &json::Diff) -> Vec<String> {
    let changed = answer.objects.iter().filter(|object| object.diff.is_some());
    changed.map(|object| format!("{}/{}", object.kind.to_lowercase(), object.name)).collect()
}

/// As `diff` and `git` have it; a blank for what stays as it is.
fn sign(action: Action) -> (&'static str, Tone) {
    match action {
        Action::Created => ("+", Tone::Good),
        Action::Unchanged | Action::Exists => (" ", Tone::Quiet),
        Action::Configured | Action::Skipped | Action::Queued | Action::Failed => ("~", Tone::Busy),
    }
}

fn show(ui: &Ui, diffs: &[ObjectDiff], redactor: &Redactor) {
    for diff in diffs {
        let (sign, tone) = sign(diff.action);
        let object = &diff.object;
        let what = format!("{sign} {:<10} {}/{}", diff.action.as_str(), object.kind, object.name);
        let file = tinted(&plain(&format!("{}:{}", object.path, object.line)), Tone::Quiet);
        ui.line(format!("{}  {file}", tinted(&plain(&what), tone)));
        for line in shown_lines(diff, redactor) {
            ui.line(format!("    {line}"));
        }
    }
    ui.line(totals(diffs));
}

/// The difference for a person: coloured, without characters that drive a terminal.
fn shown_lines(diff: &ObjectDiff, redactor: &Redactor) -> Vec<String> {
    let text = unified(diff, redactor).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let new = diff.before.is_none();
    // A new object has one hunk: its header says nothing.
    let lines = if new { lines.get(1..).unwrap_or_default() } else { &lines[..] };
    let whole = !new || lines.len() <= NEW_LINES;
    let shown = if whole { lines } else { &lines[..NEW_LINES] };
    let mut shown: Vec<String> = shown.iter().map(|line| toned(line)).collect();
    if !whole {
        let more = count(lines.len() - NEW_LINES, "more line");
        shown.push(tinted(&format!("… {more}; `-o json` has all of it"), Tone::Quiet));
    }
    shown
}

fn toned(line: &str) -> String {
    let tone = match line.as_bytes().first() {
        Some(b'+') => Tone::Good,
        Some(b'-') => Tone::Bad,
        Some(b'@') => Tone::Quiet,
        _ => Tone::Plain,
    };
    tinted(&plain(&line.replace('\t', "    ")), tone)
}

/// A unified diff of the object's YAML; `None` if nothing differs.
fn unified(diff: &ObjectDiff, redactor: &Redactor) -> Option<String> {
    if matches!(diff.action, Action::Unchanged | Action::Exists) {
        return None;
    }
    let before = redactor.redact(diff.before.as_deref().unwrap_or_default());
    let after = redactor.redact(&diff.after);
    let text = TextDiff::configure().timeout(PATIENCE).diff_lines(&before, &after);
    Some(text.unified_diff().to_string()).filter(|text| !text.is_empty())
}

/// `3 objects: 1 created, 2 unchanged`.
fn totals(diffs: &[ObjectDiff]) -> String {
    if diffs.is_empty() {
        return "nothing would be delivered: `sentry explain` says why for each document"
            .to_owned();
    }
    let words = [Action::Created, Action::Configured, Action::Unchanged, Action::Exists];
    let parts = words.iter().filter_map(|word| {
        let number = diffs.iter().filter(|diff| diff.action == *word).count();
        (number > 0).then(|| format!("{number} {}", word.as_str()))
    });
    format!("\n{}: {}", count(diffs.len(), "object"), parts.collect::<Vec<_>>().join(", "))
}

fn to_json(diff: &ObjectDiff, redactor: &Redactor) -> json::ObjectDiffJson {
    json::ObjectDiffJson {
        path: diff.object.path.clone(),
        document: diff.object.document,
        kind: diff.object.kind.clone(),
        name: diff.object.name.clone(),
        action: diff.action.as_str(),
        diff: unified(diff, redactor),
    }
}

#[cfg(test)]
mod tests {
    use sentry_core::plan::ObjectRef;
    use sentry_core::secret::Secret;

    use super::*;

    fn diff(action: Action, before: Option<&str>, after: &str) -> ObjectDiff {
        let object = ObjectRef {
            path: "t.yaml".into(),
            document: 1,
            line: 1,
            api_version: "v1".into(),
            kind: "ConfigMap".into(),
            namespace: Some("qa".into()),
            name: "x".into(),
        };
        ObjectDiff { object, action, before: before.map(str::to_owned), after: after.to_owned() }
    }

    fn plainly(diff: &ObjectDiff) -> String {
        let text = shown_lines(diff, &Redactor::new()).join("\n");
        anstream::adapter::strip_str(&text).to_string()
    }

    #[test]
    fn a_change_is_shown_with_the_lines_around_it() {
        let before = "a: 1\nb: 2\nc: 3\nd: 4\ne: 5\nf: 6\n";
        let one = diff(Action::Configured, Some(before), &before.replace("5", "9"));
        insta::assert_snapshot!(plainly(&one), @r"
        @@ -2,5 +2,5 @@
         b: 2
         c: 3
         d: 4
        -e: 5
        +e: 9
         f: 6
        ");
        assert_eq!(plainly(&diff(Action::Unchanged, Some(before), before)), "");
    }

    #[test]
    fn a_new_object_is_shown_by_its_first_lines_and_is_whole_in_json() {
        let long: String = (0..30).map(|n| format!("l{n}: x\n")).collect();
        let one = diff(Action::Created, None, &long);
        let lines: Vec<String> = plainly(&one).lines().map(str::to_owned).collect();
        assert_eq!((lines.len(), lines[0].as_str()), (21, "+l0: x"));
        assert_eq!(lines[20], "… 10 more lines; `-o json` has all of it");
        assert!(to_json(&one, &Redactor::new()).diff.unwrap().contains("+l29: x"));
        assert_eq!(plainly(&diff(Action::Created, None, "a: 1\nb: 2\n")), "+a: 1\n+b: 2");
    }

    #[test]
    fn neither_a_known_secret_nor_an_escape_sequence_is_shown() {
        let redactor = Redactor::new();
        redactor.learn(&Secret::new("s3cret-token"));
        let one = diff(Action::Configured, Some("a: s3cret-token\n"), "a: \u{1b}[2Js3cret-token\n");
        let shown = shown_lines(&one, &redactor).join("\n");
        assert!(!shown.contains("s3cret") && !shown.contains("\u{1b}[2J"), "{shown:?}");
        assert!(!to_json(&one, &redactor).diff.unwrap().contains("s3cret"));
    }
}
