//! A pattern's text, read.

use std::iter::Peekable;
use std::str::Chars;

/// Alternatives inside each other.
const MAX_DEPTH: usize = 16;

const OPEN: &str = "has an unclosed `[`";

/// A part of a pattern. `Any` and `Super` match the same, but are not the same when alternatives are compared.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    Nothing,
    Text(String),
    /// `*`
    Any,
    /// `**`
    Super,
    /// `?`
    Single,
    /// `[abc]`, or any other character.
    List {
        chars: String,
        not: bool,
    },
    /// `[a-c]`, or any other character.
    Range {
        low: char,
        high: char,
        not: bool,
    },
    /// One part after the other.
    Pattern(Vec<Self>),
    /// `{a,b}`
    AnyOf(Vec<Self>),
}

/// Reads a pattern: what stands after each other. A `{` may stay open; a `\` at the end escapes nothing.
///
/// # Errors
/// What is wrong with it.
pub(super) fn parse(pattern: &str) -> Result<Vec<Node>, String> {
    if pattern.contains(['\0', char::REPLACEMENT_CHARACTER]) {
        return Err("contains an invalid character".to_owned());
    }
    let mut chars = pattern.chars().peekable();
    let mut levels = Levels::default();
    while let Some(c) = chars.next() {
        let node = match c {
            '{' => {
                levels.open()?;
                continue;
            }
            ',' if levels.inside() => {
                levels.next();
                continue;
            }
            '}' if levels.inside() => {
                levels.close();
                continue;
            }
            '[' => class(&mut chars)?,
            '?' => Node::Single,
            '*' if chars.next_if_eq(&'*').is_some() => Node::Super,
            '*' => Node::Any,
            c => {
                let ends = if levels.inside() { "?*[{}," } else { "?*[{" };
                let text = text(c, &mut chars, ends);
                if text.is_empty() {
                    continue;
                }
                Node::Text(text)
            }
        };
        levels.current.push(node);
    }
    while levels.inside() {
        levels.close();
    }
    Ok(levels.current)
}

/// The alternatives that are open, and the parts of the innermost one so far.
#[derive(Debug, Default)]
struct Levels {
    /// What stands before each `{`, and its alternatives so far.
    outer: Vec<(Vec<Node>, Vec<Node>)>,
    current: Vec<Node>,
}

impl Levels {
    fn inside(&self) -> bool {
        !self.outer.is_empty()
    }

    fn open(&mut self) -> Result<(), String> {
        if self.outer.len() == MAX_DEPTH {
            return Err(format!("has more than {MAX_DEPTH} nested `{{`"));
        }
        self.outer.push((std::mem::take(&mut self.current), Vec::new()));
        Ok(())
    }

    fn next(&mut self) {
        let done = Node::Pattern(std::mem::take(&mut self.current));
        if let Some((_, alternatives)) = self.outer.last_mut() {
            alternatives.push(done);
        }
    }

    fn close(&mut self) {
        self.next();
        if let Some((before, alternatives)) = self.outer.pop() {
            self.current = before;
            self.current.push(Node::AnyOf(alternatives));
        }
    }
}

/// Text up to one of the characters that end it; `\` takes what follows as it is.
fn text(first: char, chars: &mut Peekable<Chars<'_>>, ends: &str) -> String {
    let mut text = String::new();
    if first == '\\' {
        text.extend(chars.next());
    } else {
        text.push(first);
    }
    while let Some(c) = chars.next_if(|c| !ends.contains(*c)) {
        if c == '\\' {
            text.extend(chars.next());
        } else {
            text.push(c);
        }
    }
    text
}

/// What follows `[`: a range if its second character is a `-`, else a list.
fn class(chars: &mut Peekable<Chars<'_>>) -> Result<Node, String> {
    let not = chars.next_if_eq(&'!').is_some();
    let first = chars.next().ok_or(OPEN)?;
    if chars.next_if_eq(&'-').is_some() {
        let high = chars.next().ok_or(OPEN)?;
        return match chars.next() {
            Some(']') if first <= high => Ok(Node::Range { low: first, high, not }),
            Some(']') => Err(format!("has an empty range `{first}-{high}`")),
            Some(_) => Err(format!("has more than the range `{first}-{high}` between `[` and `]`")),
            None => Err(OPEN.to_owned()),
        };
    }
    if first == ']' {
        return Err("has nothing between `[` and `]`".to_owned());
    }
    let list = text(first, chars, "]");
    match chars.next() {
        None => Err(OPEN.to_owned()),
        Some(_) => Ok(Node::List { chars: list, not }),
    }
}
