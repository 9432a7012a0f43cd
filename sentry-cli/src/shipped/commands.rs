//! Command lines in documents are what the program takes, and the reference leaves none of its options out.

use clap::Command;

use super::{code_spans, documents, read, root, split};
use crate::args::given;
use crate::help;

/// The words of a command line, as a shell splits them: with quotes taken away, `$(…)` and `$NAME` filled in, up to what is
/// piped, redirected or a comment.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut is_word) = (Vec::new(), String::new(), false);
    let mut chars = line.chars().peekable();
    let mut quote = None;
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None | Some('"'), '$') if chars.peek() == Some(&'(') => {
                let mut depth = 0;
                for c in chars.by_ref() {
                    depth += i32::from(c == '(') - i32::from(c == ')');
                    if depth == 0 {
                        break;
                    }
                }
                word.push_str("1a2b3c4");
                is_word = true;
            }
            (None | Some('"'), '$') => {
                while chars.next_if(char::is_ascii_alphabetic).is_some() {}
                word.push_str("/x");
                is_word = true;
            }
            (None, '\'' | '"') => (quote, is_word) = (Some(c), true),
            (None, ' ') => {
                words.extend(is_word.then(|| std::mem::take(&mut word)));
                is_word = false;
            }
            (None, '|' | '>' | '<' | '&' | ';') => break,
            (None, '#') if !is_word => break,
            (_, c) => {
                word.push(c);
                is_word = true;
            }
        }
    }
    words.extend(is_word.then_some(word));
    words
}

/// The command lines of a document's blocks, each whole.
fn lines(document: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for block in split(document).0 {
        if ["sh", "console", "text"].contains(&block.language.as_str()) {
            let text = block.text.replace("\\\n", " ");
            lines.extend(text.lines().map(|line| line.trim_start_matches("$ ").trim().to_owned()));
        }
    }
    lines
}

/// The calls of our program in a command line: at its beginning, behind a crontab's times, or in a container.
fn calls(line: &str) -> Vec<Vec<String>> {
    let marks = ["  sentry ", "-- sentry ", "&& sentry "];
    let inner = marks
        .iter()
        .flat_map(|mark| line.match_indices(mark).map(|(at, mark)| at + mark.len() - 7));
    let first = line.starts_with("sentry ").then_some(0);
    first.into_iter().chain(inner).map(|at| words(&line[at..])).collect()
}

#[test]
fn every_command_line_in_a_document_is_one_that_the_program_takes() {
    let mut seen = 0;
    for (path, text) in documents() {
        for line in lines(&text) {
            for call in calls(&line) {
                let call = given::modernised(call.into_iter().map(Into::into));
                let parsed = help::command().try_get_matches_from(&call);
                assert!(parsed.is_ok(), "{path}: {line}: {}", parsed.unwrap_err());
                seen += 1;
            }
        }
    }
    assert!(seen > 40, "nothing was read: {seen}");
}

#[test]
fn what_commands_in_documents_name_of_this_repository_is_there() {
    let targets: Vec<_> = read("Makefile")
        .lines()
        .filter_map(|line| line.split_once(':').map(|(name, _)| name.to_owned()))
        .collect();
    let mut seen = 0;
    for (path, text) in documents() {
        for line in lines(&text) {
            let words = words(&line);
            let ours = ["deploy/", "scripts/", "sentry-cli"];
            for word in words.iter().filter(|word| ours.iter().any(|start| word.starts_with(start)))
            {
                assert!(root().join(word).exists(), "{path}: {line}: no {word}");
                seen += 1;
            }
            if words.first().is_some_and(|word| word == "make") {
                assert!(words.len() > 1 && targets.contains(&words[1]), "{path}: {line}");
                seen += 1;
            }
        }
    }
    assert!(seen > 8, "nothing was read: {seen}");
}

/// The command that a text such as `sentry retry DELIVERY [--no-wait]` speaks of, and the options that it names.
fn spoken_of<'a>(program: &'a Command, text: &'a str) -> (Option<&'a Command>, Vec<&'a str>) {
    let words = text.split([' ', '[', ']', '|', '=', ',']).skip(1);
    let command = words.clone().find_map(|word| program.find_subcommand(word));
    (command, words.filter(|word| word.starts_with("--") && word.len() > 2).collect())
}

fn has(command: &Command, option: &str) -> bool {
    let name = option.trim_start_matches('-').trim_end_matches('…');
    ["help", "version"].contains(&name)
        || command.get_arguments().any(|argument| argument.get_long() == Some(name))
}

#[test]
fn every_command_that_a_sentence_names_exists_with_its_options() {
    let program = help::command();
    let mut seen = 0;
    for (path, text) in documents() {
        let prose = split(&text).1;
        for span in code_spans(&prose).into_iter().filter(|span| span.starts_with("sentry ")) {
            let (command, options) = spoken_of(&program, span);
            let is_global = span.split(' ').nth(1).is_some_and(|word| word.starts_with(['-', '…']));
            assert!(command.is_some() || is_global, "{path}: `{span}`: no such command");
            for option in options {
                let known =
                    has(&program, option) || command.is_some_and(|command| has(command, option));
                assert!(known, "{path}: `{span}`: no {option}");
            }
            seen += 1;
        }
    }
    assert!(seen > 100, "nothing was read: {seen}");
}

#[test]
fn the_reference_names_every_command_and_every_option() {
    let (program, reference) = (help::command(), read("docs/cli.md"));
    for command in program.get_subcommands().filter(|command| !command.is_hide_set()) {
        let name = command.get_name();
        assert!(reference.contains(&format!("`sentry {name}")), "docs/cli.md lacks {name}");
        let shown = command.get_arguments().filter(|argument| !argument.is_hide_set());
        for option in
            shown.filter_map(|argument| argument.get_long()).filter(|name| *name != "help")
        {
            assert!(
                reference.contains(&format!("--{option}")),
                "docs/cli.md lacks {name} --{option}"
            );
        }
    }
}

#[test]
fn a_wrong_command_line_is_noticed() {
    for line in
        ["sentry watch --onse", "0 2 * * *  sentry triger qa", "kubectl exec x -- sentry stats"]
    {
        let calls = calls(line);
        assert_eq!(calls.len(), 1, "{line}");
        assert!(help::command().try_get_matches_from(&calls[0]).is_err(), "{line}");
    }
    assert_eq!(words("a 'b c' \"$(d \"e\")\"x # f"), ["a", "b c", "1a2b3c4x"]);
}
