//! What go-yaml v2, which is kubectl's parser, reads otherwise than a parser of YAML 1.2, or not at all: found by comparing
//! the two, and refused.

use std::ops::Range;

use granit_parser::ScalarStyle;

use super::scalar::Tag;
use super::{At, Fault, Why};

/// A scalar where it stands.
pub(super) struct Written<'t> {
    /// As it is written, quotes included.
    pub(super) source: &'t str,
    /// What follows it.
    pub(super) after: &'t str,
    pub(super) text: &'t str,
    pub(super) style: ScalarStyle,
    pub(super) tag: Option<Tag>,
    pub(super) in_brackets: bool,
    pub(super) is_key: bool,
}

impl Written<'_> {
    /// Refuses what readers differ about.
    pub(super) fn check(&self) -> Result<(), Why> {
        if self.in_brackets && self.is_key && self.crosses_lines() {
            return Err(Why::unclear("a key that spans lines", "write it on one line"));
        }
        match self.style {
            ScalarStyle::DoubleQuoted => escapes(self.source),
            ScalarStyle::Literal | ScalarStyle::Folded if self.begins_with_tab() => {
                Err(Why::unclear("a block of text starts with a tab", "start it with another line"))
            }
            ScalarStyle::Plain if self.in_brackets => self.check_plain(),
            _ => Ok(()),
        }
    }

    fn crosses_lines(&self) -> bool {
        let before_colon = self.after.trim_start();
        let skipped = self.after.len() - before_colon.len();
        self.source.contains('\n')
            || (before_colon.starts_with(':') && self.after[..skipped].contains('\n'))
    }

    fn begins_with_tab(&self) -> bool {
        self.text.trim_start_matches('\n').starts_with('\t')
    }

    /// Between brackets a `?` ends a plain scalar, and a `:` without a blank after it is part of it.
    fn check_plain(&self) -> Result<(), Why> {
        if self.source.is_empty() && self.tag.is_some() {
            return Err(Why::unclear("a tag without a value", "remove the tag"));
        }
        let after = self.after.strip_prefix(':').unwrap_or_default();
        let is_unclear = self.source.contains('?')
            || self.source.starts_with(':')
            || after.starts_with([',', '[', ']', '{', '}']);
        match is_unclear {
            true => Err(Why::unclear(
                "parsers disagree about where this text in brackets ends",
                "quote it",
            )),
            false => Ok(()),
        }
    }
}

/// Escapes that YAML 1.2 has for JSON's sake: `\/`, and pairs of surrogates.
fn escapes(source: &str) -> Result<(), Why> {
    let mut rest = source;
    while let Some((_, escape)) = rest.split_once('\\') {
        let start = escape.get(..3).unwrap_or_default().to_ascii_lowercase();
        let is_half =
            start.starts_with("ud") && start.ends_with(['8', '9', 'a', 'b', 'c', 'd', 'e', 'f']);
        if escape.starts_with('/') || is_half {
            let what = "an escape that kubectl does not support";
            return Err(Why::unclear(what, "write the character itself"));
        }
        rest = escape.get(1..).unwrap_or_default();
    }
    Ok(())
}

/// Refuses names of anchors beyond YAML 1.1's.
pub(super) fn anchor(name: &str) -> Result<(), Why> {
    match name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-') {
        true => Ok(()),
        false => Err(Why::unclear(
            format!("kubectl does not support the anchor `{name}`"),
            "use letters, digits, `-` and `_`",
        )),
    }
}

/// Refuses tabs for indentation and after the dash of a list. `texts` are the places, in order, of scalars and of what
/// is in brackets: tabs may be there.
pub(super) fn tabs(text: &str, texts: &[Range<usize>]) -> Result<(), Fault> {
    if !text.contains('\t') {
        return Ok(());
    }
    let (mut offset, mut texts) = (0, texts.iter().peekable());
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let before = line.len() - line.trim_start_matches([' ', '-', '?', ':']).len();
        let at = offset + before;
        while texts.next_if(|range| range.end <= at).is_some() {}
        let is_text = texts.peek().is_some_and(|range| range.start < at);
        if line[before..].starts_with('\t') && !is_text {
            let why = Why::unclear("a tab where kubectl takes only spaces", "use spaces");
            return Err(why.at(At { line: index + 1, column: before + 1 }));
        }
        offset += line.len();
    }
    Ok(())
}
