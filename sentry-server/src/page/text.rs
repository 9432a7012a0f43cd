//! How foreign text is shown on the page: no byte of it is markup, moves a cursor or turns the writing direction.

use std::fmt::{self, Write};

use askama::filters::Escaper;
use sentry_core::text::shown;

/// Escapes everything that a template puts in; askama.toml names it.
///
/// Branches, manifests and errors are written by others: beside HTML's own characters, all that is hidden becomes U+FFFD.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Calm;

impl Escaper for Calm {
    fn write_escaped_str<W: Write>(&self, mut to: W, text: &str) -> fmt::Result {
        text.chars().try_for_each(|c| self.write_escaped_char(&mut to, c))
    }

    fn write_escaped_char<W: Write>(&self, mut to: W, c: char) -> fmt::Result {
        match c {
            '<' => to.write_str("&#60;"),
            '>' => to.write_str("&#62;"),
            '&' => to.write_str("&#38;"),
            '"' => to.write_str("&#34;"),
            '\'' => to.write_str("&#39;"),
            '`' => to.write_str("&#96;"),
            c => to.write_char(shown(c)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_is_neither_markup_nor_a_terminals_command_nor_turns_around() {
        let mut shown = String::new();
        let hostile = "<b a='\"'>&`\u{1b}[31m\r\0\u{9b}\u{202e}x\ny";
        Calm.write_escaped_str(&mut shown, hostile).unwrap();
        assert_eq!(
            shown,
            "&#60;b a=&#39;&#34;&#39;&#62;&#38;&#96;\u{fffd}[31m\u{fffd}\u{fffd}\u{fffd}\u{fffd}x\ny"
        );
    }
}
