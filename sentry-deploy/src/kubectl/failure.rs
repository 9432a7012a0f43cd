//! Why a run failed, in one line that is fit to be shown. Pure.
//!
//! What Tekton says of steps is in `pkg/pod/status.go` of tektoncd/pipeline at v1.0.

use serde_json::Value;

use super::runs::condition;

/// The longest message of a run, in characters.
pub(super) const MESSAGE: usize = 1000;

/// Where a run failed: one step of one task, and what is to be said about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    /// Without the last log line.
    pub(super) text: String,
    /// The step's pod and container, where a step failed.
    pub(super) log: Option<(String, String)>,
}

/// What failed, from the task runs of a pipeline run or from one task run alone; `None` if none of them did.
pub(super) fn of(task_runs: &[Value]) -> Option<Failure> {
    // A task run that was cancelled because another one failed, and one whose failure is ignored, explain nothing.
    const BYSTANDERS: &[&str] = &["TaskRunCancelled", "FailureIgnored"];
    let failed = |run: &&Value| {
        condition(run, "Succeeded").is_some_and(|condition| {
            let reason = condition["reason"].as_str().unwrap_or_default();
            condition["status"] == "False" && !BYSTANDERS.contains(&reason)
        })
    };
    let mut failed: Vec<&Value> = task_runs.iter().filter(failed).collect();
    failed.sort_by_key(|run| run["status"]["completionTime"].as_str().unwrap_or("~"));
    let first = failed.first()?;
    let mut failure = of_task_run(first);
    if failed.len() > 1 {
        failure.text = format!("{} ({} tasks failed)", failure.text, failed.len());
    }
    Some(failure)
}

fn of_task_run(run: &Value) -> Failure {
    let task = run["metadata"]["labels"]["tekton.dev/pipelineTask"].as_str();
    let task = task.map(|task| format!("task {task}, ")).unwrap_or_default();
    let step = failed_step(run);
    let Some((name, end)) =
        step.and_then(|step| Some((step["name"].as_str()?, &step["terminated"])))
    else {
        let condition = condition(run, "Succeeded").unwrap_or(&Value::Null);
        let words = ["reason", "message"].map(|field| condition[field].as_str().unwrap_or("?"));
        return Failure { text: format!("{task}{}: {}", words[0], words[1]), log: None };
    };
    let code = end["exitCode"].as_i64().unwrap_or_default();
    // Kubernetes' own word for "with an exit code" says nothing more.
    let reason = end["reason"].as_str().filter(|reason| !["Error", "Completed"].contains(reason));
    let reason = reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
    let pod = run["status"]["podName"].as_str().filter(|pod| !pod.is_empty());
    let container = step.and_then(|step| step["container"].as_str());
    let container = container.map_or_else(|| format!("step-{name}"), str::to_owned);
    Failure {
        text: format!("{task}step {name}: exit code {code}{reason}"),
        log: pod.map(|pod| (pod.to_owned(), container)),
    }
}

/// The step that made the task fail: the first with an exit code, unless Tekton says that it was told to go on after
/// it, or never ran it because of an earlier one.
fn failed_step(run: &Value) -> Option<&Value> {
    let steps = || run["status"]["steps"].as_array().into_iter().flatten();
    let failed = |step: &&Value| step["terminated"]["exitCode"].as_i64().is_some_and(|c| c != 0);
    let real = |step: &&Value| {
        !["Continued", "Skipped"].iter().any(|word| step["terminationReason"] == *word)
    };
    steps().filter(failed).find(real).or_else(|| steps().find(failed))
}

/// The last line of a log that holds something to see. `whole` is false if the log was cut at its end.
pub(super) fn last_line(log: &str, whole: bool) -> Option<String> {
    let mut lines: Vec<&str> = log.lines().collect();
    // The end of what was cut may be half a secret, which no redactor knows.
    if !whole
        && let Some(cut) = lines.pop()
        && lines.is_empty()
    {
        let half = (0..=cut.len() / 2).rev().find(|&at| cut.is_char_boundary(at)).unwrap_or(0);
        lines.push(&cut[..half]);
    }
    let shown = lines.iter().rev().map(|line| printable(line, MESSAGE));
    shown.into_iter().find(|line| !line.is_empty())
}

/// One line without control characters and terminal sequences, at most so many characters.
pub(super) fn printable(text: &str, chars: usize) -> String {
    let mut clean = String::new();
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        if c == '\u{1b}' && rest.next_if_eq(&'[').is_some() {
            // A control sequence goes on to its first letter.
            rest.find(|c| ('\u{40}'..='\u{7e}').contains(c));
        } else if c.is_whitespace() || c.is_control() {
            if !clean.ends_with(' ') {
                clean.push(' ');
            }
        } else if !is_invisible(c) {
            clean.push(c);
        }
    }
    let clean = clean.trim();
    if clean.chars().count() <= chars {
        return clean.to_owned();
    }
    clean.chars().take(chars - 1).chain(['…']).collect()
}

/// Characters that reorder or hide the text around them.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// A failure and the last log line as one message.
pub(super) fn message(failure: &str, line: Option<&str>) -> String {
    let text = match line {
        Some(line) => format!("{failure}: {line}"),
        None => failure.to_owned(),
    };
    printable(&text, MESSAGE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn task_run(task: &str, reason: &str, completed: &str, steps: &Value) -> Value {
        json!({
            "metadata": {"labels": {"tekton.dev/pipelineTask": task}},
            "status": {
                "podName": format!("{task}-pod"), "completionTime": completed, "steps": steps,
                "conditions": [{"type": "Succeeded", "status": "False", "reason": reason, "message": "m"}],
            },
        })
    }

    #[test]
    fn the_failure_is_the_first_failed_task_and_the_step_that_made_it_fail() {
        let step = |name: &str, code: i32, reason: &str, word: Option<&str>| {
            json!({"name": name, "container": format!("step-{name}"), "terminationReason": word,
                   "terminated": {"exitCode": code, "reason": reason}})
        };
        let steps = json!([
            step("fetch", 0, "Completed", None),
            step("lint", 3, "Error", Some("Continued")),
            step("test", 2, "Error", None),
            step("report", 1, "Error", Some("Skipped")),
        ]);
        let ignored =
            task_run("flaky", "FailureIgnored", "1", &json!([step("a", 1, "Error", None)]));
        let cancelled =
            task_run("other", "TaskRunCancelled", "0", &json!([step("a", 1, "Error", None)]));
        let unit = task_run("unit", "Failed", "2", &steps);
        let killed = task_run("big", "Failed", "3", &json!([step("a", 137, "OOMKilled", None)]));
        let late = task_run("late", "TaskRunTimeout", "1", &json!([]));
        let told = |runs: &[&Value]| of(&runs.iter().map(|run| (*run).clone()).collect::<Vec<_>>());
        let found = told(&[&ignored, &cancelled, &unit]).unwrap();
        assert_eq!(found.text, "task unit, step test: exit code 2");
        assert_eq!(found.log, Some(("unit-pod".into(), "step-test".into())));
        assert_eq!(told(&[&killed]).unwrap().text, "task big, step a: exit code 137 (OOMKilled)");
        let several = told(&[&unit, &late]).unwrap();
        assert_eq!(several.text, "task late, TaskRunTimeout: m (2 tasks failed)");
        assert_eq!(several.log, None);
        assert_eq!(told(&[&ignored, &cancelled]), None);
    }

    #[test]
    fn the_last_line_is_the_last_one_with_something_to_see() {
        assert_eq!(last_line("one\n\u{1b}[31mtwo\u{1b}[0m\n\n", true).as_deref(), Some("two"));
        assert_eq!(last_line("one\ntwo s3c", false).as_deref(), Some("one"));
        assert_eq!(last_line("only s3", false).as_deref(), Some("onl"));
        assert_eq!(last_line("\n \n", true), None);
    }

    #[test]
    fn a_message_is_one_printable_line_of_bounded_length() {
        assert_eq!(printable("a\u{0}b\r\nc\u{202e}d\u{1b}[2K e", 99), "a b cd e");
        let long = message("task t", Some(&"é".repeat(5000)));
        assert_eq!(long.chars().count(), MESSAGE);
        assert!(long.ends_with('…'));
    }
}
