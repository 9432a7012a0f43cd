//! Everything that reaches stdout, and the errors on stderr: tables, lines, JSON, YAML. The only place that writes.

use std::io::{self, IsTerminal as _, Write as _};

use anstream::{AutoStream, ColorChoice};
use sentry_core::secret::Redactor;
use sentry_core::text;
use serde::Serialize;
use unicode_width::UnicodeWidthStr as _;

use crate::args::{Color, Format, OutputArg};
use crate::exit::Failure;
use crate::table::Rows;

pub(crate) use sentry_api::text::{age, ahead, count, span, time};

/// The person's side of the program.
#[derive(Debug, Clone)]
pub(crate) struct Ui {
    choice: ColorChoice,
    redactor: Redactor,
    /// `COLUMNS`, where it is set.
    columns: Option<usize>,
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
    pub(crate) fn new(color: Color, redactor: Redactor, columns: Option<&str>) -> Self {
        let choice = match color {
            Color::Auto => ColorChoice::Auto,
            Color::Always => ColorChoice::Always,
            Color::Never => ColorChoice::Never,
        };
        choice.write_global();
        let columns = columns.and_then(|text| text.parse().ok()).filter(|number| *number > 0);
        Self { choice, redactor, columns }
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

    /// An answer in the format that was asked for. `names` has a line for each thing in it, `people` shows it.
    pub(crate) fn answer<T: Serialize>(
        &self,
        output: OutputArg,
        answer: &T,
        names: impl FnOnce(&T) -> Vec<String>,
        people: impl FnOnce(&T),
    ) -> Result<(), Failure> {
        match output.output {
            Format::Table | Format::Wide => people(answer),
            Format::Json => self.json(answer)?,
            Format::Yaml => self.write(&yaml(answer)?),
            Format::Name => names(answer).iter().for_each(|name| self.line(plain(name))),
        }
        Ok(())
    }

    /// A result for programs, indented: people read it too.
    pub(crate) fn json(&self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(value)
            .map_err(|e| Failure::usage("can't write the result as JSON").with_source(e))?;
        self.line(text::json(&text));
        Ok(())
    }

    /// A table, as wide as there is room; whole with `-o wide`.
    pub(crate) fn table(&self, table: &Rows, output: OutputArg) {
        self.lines(table, output).iter().for_each(|line| self.line(line));
    }

    /// Its lines.
    pub(crate) fn lines(&self, table: &Rows, output: OutputArg) -> Vec<String> {
        table.lines(output.is_wide(), self.room())
    }

    /// A table below a line that it belongs to.
    pub(crate) fn indented(&self, table: &Rows, output: OutputArg, indent: &str) {
        let room = self.room().map(|cells| cells.saturating_sub(indent.len()));
        for line in table.lines(output.is_wide(), room) {
            self.line(format!("{indent}{line}"));
        }
    }

    /// How many cells a line has: what COLUMNS says, else the terminal. Where lines go to a file or a program, they are
    /// whole.
    fn room(&self) -> Option<usize> {
        self.columns.or_else(|| Some(terminal()?.ws_col.into()).filter(|cells| *cells > 0))
    }

    /// True if a person sees the lines as they are written.
    pub(crate) fn is_terminal(&self) -> bool {
        io::stdout().is_terminal()
    }

    /// These lines instead of those on the terminal, as many as it has.
    pub(crate) fn redraw(&self, lines: &[String]) {
        let size = terminal();
        let cells = size.map_or(usize::MAX, |size| usize::from(size.ws_col).max(1));
        let mut left = size.map_or(usize::MAX, |size| usize::from(size.ws_row)).saturating_sub(2);
        let fits = lines.iter().take_while(|line| {
            let width = anstream::adapter::strip_str(line).to_string().width();
            let rows = width.div_ceil(cells).max(1);
            let fits = rows <= left;
            left = left.saturating_sub(rows);
            fits
        });
        let fits = fits.count();
        control("\u{1b}[H");
        for line in &lines[..fits] {
            self.write(line);
            control("\u{1b}[K\n");
        }
        if fits < lines.len() {
            self.write(&format!("… {}", count(lines.len() - fits, "more line")));
            control("\u{1b}[K\n");
        }
        control("\u{1b}[J");
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

/// Moves the cursor or takes away what is behind it; colours may be off.
fn control(code: &str) {
    let mut out = io::stdout().lock();
    out.write_all(code.as_bytes()).and_then(|()| out.flush()).ok();
}

/// A result as YAML.
fn yaml(value: &impl Serialize) -> Result<String, Failure> {
    serde_saphyr::to_string(value)
        .map_err(|e| Failure::usage("can't write the result as YAML").with_source(e))
}

/// The terminal that stdout is, if it is one.
fn terminal() -> Option<rustix::termios::Winsize> {
    rustix::termios::tcgetwinsize(io::stdout()).ok().filter(|_| io::stdout().is_terminal())
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
    fn yaml_holds_no_character_that_drives_the_terminal_and_reads_back() {
        for text in ["a\u{1b}[31mb", "a\u{9b}b\0", "two\nlines\r", "no", "a: b", "- #x", "", "名"]
        {
            let yaml = yaml(&serde_json::json!({"key": text})).unwrap();
            assert!(!yaml.contains('\u{1b}') && with_colours(&yaml) == yaml, "{yaml:?}");
            let back: serde_json::Value = serde_saphyr::from_str(&yaml).unwrap();
            assert_eq!(back["key"], text, "{yaml:?}");
        }
    }

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
