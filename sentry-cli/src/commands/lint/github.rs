//! Findings as GitHub's workflow commands, which become annotations of a change:
//! <https://docs.github.com/en/actions/reference/workflow-commands-for-github-actions>. What has to be escaped is in the
//! runner: <https://github.com/actions/runner/blob/main/src/Runner.Common/ActionCommand.cs>.

use std::fmt::Write as _;

use sentry_core::text;

use super::findings::{Finding, Level, Linted};

/// A line for each finding.
pub(super) fn render(linted: &Linted<'_>) -> String {
    let mut out = String::new();
    for finding in &linted.findings {
        let Finding { rule, path, line, column, message, .. } = finding;
        let word = match rule.level() {
            Level::Error => "error",
            Level::Warning => "warning",
            Level::Note => "notice",
        };
        let mut properties = Vec::new();
        if let Some(path) = path {
            properties.push(("file", linted.file(path)));
            properties.push(("line", line.to_string()));
            properties.extend(column.map(|column| ("col", column.to_string())));
        }
        properties.push(("title", format!("sentry lint: {}", rule.id())));
        let properties: Vec<String> =
            properties.iter().map(|(name, value)| format!("{name}={}", property(value))).collect();
        writeln!(out, "::{word} {}::{}", properties.join(","), data(message)).ok();
    }
    out
}

/// What stands behind the last `::`. A percent sign goes first: the others are written with one.
fn data(value: &str) -> String {
    let clean = text::clean(value);
    clean.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(value: &str) -> String {
    data(value).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::super::findings::Rule;
    use super::*;

    #[test]
    fn nothing_in_a_name_or_a_message_ends_its_place_or_begins_another_command() {
        for hostile in [
            "a\nb",
            "a\r\n::set-output name=x::y",
            "::error::x",
            "%0A::add-mask::x",
            "a,line=9:b",
            "\u{1b}[31m\u{202e}x",
            "##[add-mask]x",
        ] {
            let finding = Finding {
                rule: Rule::Refused,
                path: Some(format!("{hostile}.yaml")),
                document: 1,
                line: 3,
                column: Some(4),
                message: hostile.to_owned(),
            };
            let linted =
                Linted { dir: String::new(), decisions: &[], findings: vec![finding.clone()] };
            let shown = render(&linted);
            assert_eq!(shown.lines().count(), 1, "{shown:?}");
            assert!(!shown.trim_end().contains(char::is_control), "{shown:?}");
            // Read as the runner reads it: up to the first blank, up to the second `::`, by commas, by `=`.
            let (command, message) =
                shown.trim_end().strip_prefix("::").unwrap().split_once("::").unwrap();
            let (word, properties) = command.split_once(' ').unwrap();
            let properties: Vec<_> =
                properties.split(',').map(|p| p.split_once('=').unwrap()).collect();
            let names: Vec<_> = properties.iter().map(|(name, _)| *name).collect();
            assert_eq!((word, names), ("error", vec!["file", "line", "col", "title"]), "{shown}");
            let read = |text: &str| {
                let text = text.replace("%0D", "\r").replace("%0A", "\n").replace("%3A", ":");
                text.replace("%2C", ",").replace("%25", "%")
            };
            assert_eq!(read(properties[0].1), text::clean(&finding.path.unwrap()));
            assert_eq!(read(message), text::clean(hostile));
        }
    }
}
