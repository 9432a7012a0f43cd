//! How foreign text stands on the page: no byte of it is markup, moves a cursor or turns the writing direction.

use std::fmt::{self, Write};

use askama::filters::Escaper;

/// Escapes everything that a template puts in; askama.toml names it.
///
/// Branches, manifests and errors are written by others. Beside HTML's own characters, control characters (a terminal's
/// escapes among them) and those that reorder what stands beside them
/// (<https://www.unicode.org/reports/tr9/#Directional_Formatting_Characters>) become U+FFFD.
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
            '\n' | '\t' => to.write_char(c),
            c if c.is_control() || turns(c) => to.write_char(char::REPLACEMENT_CHARACTER),
            c => to.write_char(c),
        }
    }
}

/// Marks, embeddings, overrides and isolates of the writing direction.
fn turns(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
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
