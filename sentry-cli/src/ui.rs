//! Everything that reaches stdout, and the errors on stderr: tables, lines, JSON. The only place that writes.

use std::io::{self, Write as _};
use std::time::Duration;

use anstream::{AutoStream, ColorChoice};
use comfy_table::{Cell, ContentArrangement, Table, presets};
use sentry_core::clock::Timestamp;
use sentry_core::secret::Redactor;
use serde::Serialize;

use crate::args::Color;
use crate::exit::Failure;

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
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).ok();
    }

    /// A result for programs, indented: people read it too.
    pub(crate) fn json(&self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(value)
            .map_err(|e| Failure::usage("can't write the result as JSON").with_source(e))?;
        self.line(text);
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

/// A text of foreign origin without characters that move the cursor or change colours.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

/// A time to the second, in UTC.
pub(crate) fn time(at: Timestamp) -> String {
    format!("{at:.0}")
}

/// How long ago, in the largest unit that says something: `12s`, `5m`, `3h`, `2d`.
pub(crate) fn age(now: Timestamp, at: Timestamp) -> String {
    span(Duration::from_secs(u64::try_from(now.as_second() - at.as_second()).unwrap_or(0)))
}

/// A stretch of time as people say it.
pub(crate) fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0 if time.is_zero() => "0s".to_owned(),
        0 => format!("{} ms", time.as_millis()),
        1..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// `in 12s`, or `now` where the time has come.
pub(crate) fn ahead(now: Timestamp, at: Timestamp) -> String {
    match u64::try_from(at.as_second() - now.as_second()) {
        Ok(seconds) if seconds > 0 => format!("in {}", span(Duration::from_secs(seconds))),
        _ => "now".to_owned(),
    }
}

/// `1 object`, `3 objects`.
pub(crate) fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

/// `1 watch`, `3 watches`: for words whose plural is not made with an `s` alone.
pub(crate) fn count_of(number: usize, one: &str, many: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {many}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn ages_use_the_largest_unit_that_says_something() {
        let shown = [0, 59, 60, 3599, 7200, 200_000].map(|s| age(at(1_000_000), at(1_000_000 - s)));
        assert_eq!(shown, ["0s", "59s", "1m", "59m", "2h", "2d"]);
        assert_eq!(age(at(5), at(9)), "0s");
        assert_eq!((ahead(at(5), at(17)), ahead(at(5), at(5))), ("in 12s".into(), "now".into()));
    }

    #[test]
    fn foreign_text_can_not_drive_the_terminal() {
        assert_eq!(plain("a\u{1b}[31mb\rc"), "a\u{fffd}[31mb\u{fffd}c");
    }
}
