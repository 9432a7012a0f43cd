//! Tables with aligned columns and no borders, as wide as there is room. Widths are counted in a terminal's cells.

use sentry_core::text;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::ui::{Tone, tinted};

/// Between two columns, in cells.
const GAP: usize = 2;
/// A cell that is shortened keeps so many cells, if it had as many.
const LEAST: usize = 10;
/// A text that is folded gets so many cells, however narrow the terminal.
const FOLDED_LEAST: usize = 24;
/// Stands for what was taken out of a cell.
const CUT: char = '…';

/// How a column gives way where there is no room for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fit {
    /// It does not.
    Whole,
    /// The middle is taken out: the two ends tell one branch, file or object from another.
    Middle,
    /// The end is taken off.
    End,
    /// It goes on in the next line: nothing is lost of a sentence. Only for the last column.
    Folded,
    /// It is shown in the wide table alone.
    WideOnly,
}

/// A column of a table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    title: &'static str,
    fit: Fit,
}

/// A column that is always whole: ids, words of a closed list.
pub(crate) const fn whole(title: &'static str) -> Column {
    Column { title, fit: Fit::Whole }
}

/// A column whose texts may lose their middle.
pub(crate) const fn middle(title: &'static str) -> Column {
    Column { title, fit: Fit::Middle }
}

/// A column whose texts may lose their end.
pub(crate) const fn end(title: &'static str) -> Column {
    Column { title, fit: Fit::End }
}

/// A last column whose texts go on in the next line.
pub(crate) const fn folded(title: &'static str) -> Column {
    Column { title, fit: Fit::Folded }
}

/// A column that only `-o wide` shows.
pub(crate) const fn wide_only(title: &'static str) -> Column {
    Column { title, fit: Fit::WideOnly }
}

/// A table. A column in which no row has a text is left out.
#[derive(Debug)]
pub(crate) struct Rows {
    columns: Vec<Column>,
    rows: Vec<Vec<(String, Tone)>>,
}

impl Rows {
    pub(crate) fn new(columns: &[Column]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Adds a row: a text and a tone for each column. Each text is made one clean line.
    pub(crate) fn row<const N: usize>(&mut self, cells: [(&str, Tone); N]) {
        self.rows.push(cells.map(|(text, tone)| (text::line(text), tone)).to_vec());
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The lines, of at most so many cells where that is possible; without a number each cell is whole.
    pub(crate) fn lines(&self, wide: bool, room: Option<usize>) -> Vec<String> {
        let shown: Vec<usize> = (0..self.columns.len())
            .filter(|at| wide || self.columns[*at].fit != Fit::WideOnly)
            .filter(|at| self.rows.iter().any(|row| !row[*at].0.is_empty()))
            .collect();
        let room = room.filter(|_| !wide);
        let widths = self.widths(&shown, room);
        let header = self.columns.iter().map(|c| (c.title.to_uppercase(), Tone::Quiet)).collect();
        std::iter::once(&header)
            .chain(&self.rows)
            .flat_map(|row| self.row_lines(row, &shown, &widths))
            .collect()
    }

    /// The width of each shown column: its widest text, and less where that is too much for the room.
    fn widths(&self, shown: &[usize], room: Option<usize>) -> Vec<usize> {
        let widest = |at: &usize| {
            let cells = self.rows.iter().map(|row| row[*at].0.width());
            cells.chain([self.columns[*at].title.width()]).max().unwrap_or_default()
        };
        let mut widths: Vec<usize> = shown.iter().map(widest).collect();
        let Some(room) = room else { return widths };
        let gaps = GAP * widths.len().saturating_sub(1);
        loop {
            let surplus = (widths.iter().sum::<usize>() + gaps).saturating_sub(room);
            // The widest gives way first, so that those beside it stay whole as long as possible.
            let gives = (0..widths.len()).filter(|n| {
                let column = self.columns[shown[*n]];
                let least = if column.fit == Fit::Folded { FOLDED_LEAST } else { LEAST };
                let gives = matches!(column.fit, Fit::Middle | Fit::End | Fit::Folded);
                gives && widths[*n] > least.max(column.title.width())
            });
            match gives.max_by_key(|n| widths[*n]) {
                Some(n) if surplus > 0 => widths[n] -= 1,
                _ => return widths,
            }
        }
    }

    /// A row as one line, or more where its last cell is folded.
    fn row_lines(&self, row: &[(String, Tone)], shown: &[usize], widths: &[usize]) -> Vec<String> {
        let mut line = String::new();
        let mut below = Vec::new();
        let mut filled = 0;
        for (n, (at, width)) in shown.iter().zip(widths).enumerate() {
            let ((text, tone), fit) = (&row[*at], self.columns[*at].fit);
            let mut parts = match fit {
                Fit::Folded => fold(text, *width),
                Fit::End => vec![cut_end(text, *width)],
                _ => vec![cut_middle(text, *width)],
            };
            let indent = " ".repeat(filled);
            below.extend(parts.drain(1..).map(|part| format!("{indent}{}", tinted(&part, *tone))));
            let text = parts.concat();
            let blanks = if n + 1 == shown.len() { 0 } else { width - text.width() + GAP };
            filled += text.width() + blanks;
            if !text.is_empty() {
                line.push_str(&tinted(&text, *tone));
            }
            line.push_str(&" ".repeat(blanks));
        }
        line.truncate(line.trim_end_matches(' ').len());
        [vec![line], below].concat()
    }
}

/// The text in at most so many cells: its two ends, and `…` between them.
pub(crate) fn cut_middle(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let room = width.saturating_sub(1);
    let behind: String = beginning(text.chars().rev(), room / 2).chars().rev().collect();
    let before = beginning(text.chars(), room - behind.width());
    format!("{before}{CUT}{behind}")
}

/// The text in at most so many cells: its beginning, then `…`.
pub(crate) fn cut_end(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    format!("{}{CUT}", beginning(text.chars(), width.saturating_sub(1)))
}

/// As many of the first characters as there are cells for.
fn beginning(chars: impl Iterator<Item = char>, width: usize) -> String {
    let mut used = 0;
    chars
        .take_while(|c| {
            used += c.width().unwrap_or(0);
            used <= width
        })
        .collect()
}

/// The text in lines of at most so many cells, broken between words where a word has room. One line at least.
fn fold(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let mut word = word;
        while let Some(line) = lines.last_mut() {
            let blank = usize::from(!line.is_empty());
            if line.width() + blank + word.width() <= width {
                line.push_str(&" ".repeat(blank));
                line.push_str(word);
                break;
            }
            if line.is_empty() {
                let part = beginning(word.chars(), width);
                word = &word[part.len()..];
                line.push_str(&part);
            }
            lines.push(String::new());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(lines: &[String]) -> String {
        anstream::adapter::strip_str(&lines.join("\n")).to_string()
    }

    #[test]
    fn a_text_that_is_cut_keeps_both_ends_and_its_cells() {
        assert_eq!(cut_middle("release/2026.11", 15), "release/2026.11");
        assert_eq!(cut_middle("release/2026.11", 14), "release…026.11");
        assert_eq!(cut_end("1 failed, 2 running", 10), "1 failed,…");
        // A wide character is never halved: one cell stays empty.
        assert_eq!(cut_middle("功能分支很长的名字", 8), "功能…字");
        for text in
            ["feature/a-very-long-name", "功能/分支很长的名字-x", "e\u{301}e\u{301}e\u{301}é"]
        {
            for width in 1..30 {
                assert!(cut_middle(text, width).width() <= width, "{text} {width}");
                assert!(cut_end(text, width).width() <= width, "{text} {width}");
            }
        }
    }

    #[test]
    fn a_folded_text_loses_nothing_and_fits() {
        let text = "no run matches: on-event is pull_request, https://example.com/a/very/long/path";
        for width in 5..90 {
            let lines = fold(text, width);
            assert!(lines.iter().all(|line| line.width() <= width), "{width}: {lines:?}");
            let letters = |text: &str| text.replace(' ', "");
            assert_eq!(letters(&lines.concat()), letters(text), "{width}");
        }
        assert_eq!(fold("", 10), [""]);
    }

    #[test]
    fn what_has_room_is_whole_and_the_widest_gives_way_first() {
        let mut rows = Rows::new(&[
            whole("id"),
            middle("branch"),
            wide_only("objects"),
            end("runs"),
            whole("next"),
        ]);
        rows.row([
            ("01hf7y", Tone::Plain),
            ("feature/PAY-1234-payment-of-invoices", Tone::Plain),
            ("12 of 14", Tone::Plain),
            ("1 failed, 1 succeeded", Tone::Bad),
            ("", Tone::Plain),
        ]);
        insta::assert_snapshot!(shown(&rows.lines(false, Some(60))), @r"
        ID      BRANCH                         RUNS
        01hf7y  feature/PAY-12…nt-of-invoices  1 failed, 1 succeeded
        ");
        insta::assert_snapshot!(shown(&rows.lines(false, Some(10))), @r"
        ID      BRANCH      RUNS
        01hf7y  featu…ices  1 failed,…
        ");
        let whole = "feature/PAY-1234-payment-of-invoices";
        assert!(shown(&rows.lines(false, None)).contains(whole));
        assert!(shown(&rows.lines(true, Some(10))).contains("12 of 14"));
    }

    #[test]
    fn a_last_column_of_sentences_goes_on_below_itself() {
        let mut rows = Rows::new(&[whole("decision"), middle("file"), folded("reason")]);
        rows.row([
            ("refuse", Tone::Bad),
            ("a.yaml:1", Tone::Plain),
            ("a ClusterRole can't be delivered: it has no namespace", Tone::Plain),
        ]);
        insta::assert_snapshot!(shown(&rows.lines(false, Some(50))), @r"
        DECISION  FILE      REASON
        refuse    a.yaml:1  a ClusterRole can't be
                            delivered: it has no namespace
        ");
    }
}
