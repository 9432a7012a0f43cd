//! Why a run failed, in one line that is safe to show. Pure.

use sentry_core::text;

/// The longest message of a run, in characters.
pub(crate) const MESSAGE: usize = 1000;

/// The last line of a log that holds something to see. `whole` is false if the log was cut at its end.
pub(crate) fn last_line(log: &str, whole: bool) -> Option<String> {
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
pub(crate) fn printable(text: &str, chars: usize) -> String {
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
        } else {
            clean.push(text::shown(c));
        }
    }
    text::cut(clean.trim(), chars)
}

/// A failure and the last log line as one message.
pub(crate) fn message(failure: &str, line: Option<&str>) -> String {
    let text = match line {
        Some(line) => format!("{failure}: {line}"),
        None => failure.to_owned(),
    };
    printable(&text, MESSAGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_is_the_last_one_with_something_to_see() {
        assert_eq!(last_line("one\n\u{1b}[31mtwo\u{1b}[0m\n\n", true).as_deref(), Some("two"));
        assert_eq!(last_line("one\ntwo s3c", false).as_deref(), Some("one"));
        assert_eq!(last_line("only s3", false).as_deref(), Some("onl"));
        assert_eq!(last_line("\n \n", true), None);
    }

    #[test]
    fn a_message_is_one_printable_line_of_bounded_length() {
        assert_eq!(printable("a\u{0}b\r\nc\u{202e}d\u{1b}[2K e", 99), "a b c\u{fffd}d e");
        let long = message("task t", Some(&"é".repeat(5000)));
        assert_eq!(long.chars().count(), MESSAGE);
        assert!(long.ends_with('…'));
    }
}
