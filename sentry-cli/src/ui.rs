//! Everything that reaches stdout, and the errors on stderr: tables, lines, JSON. The only place that writes.

use std::io::{self, Write as _};

use anstream::{AutoStream, ColorChoice};
use comfy_table::{Cell, ContentArrangement, Table, presets};
use sentry_core::secret::Redactor;
use sentry_core::text;
use serde::Serialize;

use crate::args::Color;
use crate::exit::Failure;

pub(crate) use sentry_api::text::{age, ahead, count, span, time};

/// The person's side of the program.
#[derive(Debug, Clone)]
pub(crate) struct Ui {
    choice: ColorChoice,
    redactor: Redactor,
}

/// How a word in a table or a line is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Good,
    Busy,
    Bad,
    Quiet,
}

impl Ui {
    pub(crate) fn new(color: Color, redactor: Redactor) -> Self {
        let choice = match color {
            Color::Auto => ColorChoice::Auto,
            Color::Always => ColorChoice::Always,
            Color::Never => ColorChoice::Never,
        };
        choice.write_global();
        Self { choice, redactor }
    }

    /// One line of a result.
    pub(crate) fn line(&self, text: impl AsRef<str>) {
        self.write(text.as_ref());
        self.write("\n");
    }

    /// A text that ends its own lines: a script, a schema.
    pub(crate) fn write(&self, text: &str) {
        let mut out = AutoStream::new(io::stdout(), self.choice).lock();
        // A reader that went away (`sentry history | head`) is no error of ours.
        out.write_all(with_colours(text).as_bytes()).and_then(|()| out.flush()).ok();
    }

    /// A result for programs, indented: people read it too.
    pub(crate) fn json(&self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(value)
            .map_err(|e| Failure::usage("can't write the result as JSON").with_source(e))?;
        self.line(text::json(&text));
        Ok(())
    }

    pub(crate) fn table(&self, table: &Rows) {
        self.indented(table, "");
    }

    /// A table below a line that it belongs to.
    pub(crate) fn indented(&self, table: &Rows, indent: &str) {
        let colors = AutoStream::new(io::stdout(), self.choice).current_choice();
        for line in table.table.lines() {
            let line = format!("{indent}{line}");
            // Without colours the padding of the last column is nothing but trailing blanks.
            if colors == ColorChoice::Never {
                self.line(anstream::adapter::strip_str(&line).to_string().trim_end());
            } else {
                self.line(line);
            }
        }
    }

    pub(crate) fn failure(&self, failure: &Failure) {
        self.complain(&failure.render());
    }

    /// A question, on stderr so that stdout stays a result; the answer follows on the same line.
    pub(crate) fn prompt(&self, text: &str) {
        let mut err = AutoStream::new(io::stderr(), self.choice).lock();
        write!(err, "{}", plain(text)).and_then(|()| err.flush()).ok();
    }

    /// Lines on stderr whose first words, `error:`, `caused by:` and `hint:`, are set off.
    pub(crate) fn complain(&self, text: &str) {
        let mut err = AutoStream::new(io::stderr(), self.choice).lock();
        for line in self.redactor.redact(text).lines() {
            let line = plain(line);
            let marked = [
                ("error:", Tone::Bad),
                ("caused by:", Tone::Quiet),
                ("hint:", Tone::Busy),
                ("warning:", Tone::Busy),
            ]
            .iter()
            .find_map(|(word, tone)| {
                line.strip_prefix(word).map(|rest| format!("{}{rest}", tinted(word, *tone)))
            });
            writeln!(err, "{}", marked.unwrap_or(line)).ok();
        }
    }
}

/// A table with aligned columns and no borders.
#[derive(Debug)]
pub(crate) struct Rows {
    table: Table,
}

impl Rows {
    pub(crate) fn new(headers: &[&str]) -> Self {
        let mut table = Table::new();
        table
            .load_style(presets::NOTHING)
            // Cells are never broken: a line too long for the terminal is the terminal's to wrap, and can be copied.
            .set_content_arrangement(ContentArrangement::Disabled)
            .enforce_styling()
            .set_header(headers.iter().map(|h| toned(&h.to_uppercase(), Tone::Quiet)));
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        Self { table }
    }

    /// Adds a row of plain texts and texts with a tone.
    pub(crate) fn row<const N: usize>(&mut self, cells: [(&str, Tone); N]) {
        self.table.add_row(cells.map(|(text, tone)| toned(&plain(text), tone)));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.table.is_empty()
    }
}

fn toned(text: &str, tone: Tone) -> Cell {
    let cell = Cell::new(text);
    match tone {
        Tone::Plain => cell,
        Tone::Good => cell.fg(comfy_table::Color::DarkGreen),
        Tone::Busy => cell.fg(comfy_table::Color::DarkCyan),
        Tone::Bad => cell.fg(comfy_table::Color::DarkRed),
        Tone::Quiet => cell.add_attribute(comfy_table::Attribute::Dim),
    }
}

/// A word with its colour; streams without colours take it out again.
pub(crate) fn tinted(text: &str, tone: Tone) -> String {
    use owo_colors::OwoColorize as _;
    match tone {
        Tone::Plain => text.to_owned(),
        Tone::Good => text.green().to_string(),
        Tone::Busy => text.cyan().to_string(),
        Tone::Bad => text.red().to_string(),
        Tone::Quiet => text.dimmed().to_string(),
    }
}

/// A text of foreign origin without characters that move the cursor, change colours or turn the writing direction.
pub(crate) fn plain(text: &str) -> String {
    text::clean(text)
}

/// Finished text with our own colours in it, and nothing else that is hidden.
pub(crate) fn with_colours(text: &str) -> String {
    text.chars().map(|c| if c == '\u{1b}' { c } else { text::shown(c) }).collect()
}

/// `1 watch`, `3 watches`: for words whose plural is not made with an `s` alone.
pub(crate) fn count_of(number: usize, one: &str, many: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {many}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_can_not_drive_the_terminal() {
        assert_eq!(plain("a\u{1b}[31mb\rc"), "a\u{fffd}[31mb\u{fffd}c");
        for c in ['\u{202e}', '\u{2066}', '\u{2028}', '\u{200b}', '\u{9b}'] {
            assert_eq!(plain(&format!("a{c}b")), "a\u{fffd}b");
            // Whatever a command forgets, no line holds it.
            let line = format!("{} a{c}b", tinted("x", Tone::Good));
            assert_eq!(with_colours(&line), line.replace(c, "\u{fffd}"));
        }
    }
}
