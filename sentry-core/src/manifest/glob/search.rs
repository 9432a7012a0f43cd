//! What a matcher says of a text, with the bytes and characters taken for each other where `gobwas/glob` does.

use std::collections::HashMap;
use std::ops::Range;

use super::super::fuel::Fuel;
use super::Halt;
use super::matcher::{Matcher, Tree};

/// True if the whole text fits.
///
/// # Errors
/// If the fuel ends first, or the matcher has no answer.
pub(super) fn matches(matcher: &Matcher, text: &str, fuel: &mut Fuel) -> Result<bool, Halt> {
    let mut search = Search { text: text.as_bytes(), told: HashMap::new(), fuel };
    search.matches(matcher, 0..text.len())
}

/// Where something was found in a part of a text, and the places after it, from there, at which it may end.
type Found = Option<(usize, Vec<usize>)>;

struct Search<'s> {
    text: &'s [u8],
    /// What trees said, by their address and the part of the text: nothing is asked twice.
    told: HashMap<(*const Tree, usize, usize), bool>,
    fuel: &'s mut Fuel,
}

impl Search<'_> {
    /// True if the part of the text as a whole fits.
    fn matches(&mut self, matcher: &Matcher, part: Range<usize>) -> Result<bool, Halt> {
        self.fuel.spend(1)?;
        let text = &self.text[part.clone()];
        Ok(match matcher {
            Matcher::Nothing => text.is_empty(),
            Matcher::Super => true,
            Matcher::Text(own) => text == own.as_bytes(),
            // No character at all counts as one that is none, as in Go.
            Matcher::Single | Matcher::List { .. } | Matcher::Range { .. } => {
                let (rune, width) = rune(text);
                text.len() <= width && takes(matcher, rune)
            }
            Matcher::Prefix(start) => text.starts_with(start.as_bytes()),
            Matcher::Suffix(end) => text.ends_with(end.as_bytes()),
            Matcher::PrefixSuffix(start, end) => {
                text.starts_with(start.as_bytes()) && text.ends_with(end.as_bytes())
            }
            Matcher::Contains(own) => self.find(part, own)?.is_some(),
            Matcher::AtLeast(count) => runes(text).take(*count).count() == *count,
            Matcher::Exactly { count, without } => {
                let length = runes(text).take(count + 1).count();
                length == *count
                    && match without {
                        Some(without) => self.find(part, without)?.is_none(),
                        None => true,
                    }
            }
            Matcher::AnyOf(matchers) => {
                for matcher in matchers {
                    if self.matches(matcher, part.clone())? {
                        return Ok(true);
                    }
                }
                false
            }
            Matcher::Row { length, parts } => {
                self.fuel.spend(length / 8)?;
                runes(text).take(length + 1).count() == *length && self.row(parts, part)?
            }
            Matcher::Tree(tree) => self.tree(tree, part)?,
        })
    }

    /// The first place in the part of the text where something fits.
    fn index(&mut self, matcher: &Matcher, part: Range<usize>) -> Result<Found, Halt> {
        let text = &self.text[part.clone()];
        let find = |search: &mut Self, own: &str| search.find(part.clone(), own);
        Ok(match matcher {
            Matcher::Nothing => Some((0, vec![0])),
            Matcher::Super => {
                self.fuel.spend(1 + text.len() / 8)?;
                Some((0, starts(text).collect()))
            }
            Matcher::Text(own) => find(self, own)?.map(|at| (at, vec![own.len()])),
            Matcher::Single | Matcher::List { .. } | Matcher::Range { .. } => {
                let mut all = runes(text);
                let found = all.find(|(_, rune)| takes(matcher, *rune));
                self.fuel.spend(1 + found.map_or(text.len(), |(at, _)| at) / 8)?;
                found.map(|(at, rune)| (at, vec![rune.len_utf8()]))
            }
            Matcher::Prefix(start) => find(self, start)?.map(|at| {
                let (start, rest) = (start.len(), &text[at + start.len()..]);
                (at, std::iter::once(start).chain(ends(rest).map(|end| start + end)).collect())
            }),
            Matcher::Suffix(end) => find(self, end)?.map(|at| (0, vec![at + end.len()])),
            Matcher::PrefixSuffix(start, end) => match find(self, start)? {
                Some(at) => ends_from_behind(&text[at..], end).map(|ends| (at, ends)),
                None => None,
            },
            Matcher::Contains(own) => find(self, own)?.map(|at| {
                let after = at + own.len();
                (0, starts(&text[after..]).map(|i| after + i).collect())
            }),
            Matcher::AtLeast(count) => {
                self.fuel.spend(1 + text.len() / 8)?;
                let ends: Vec<_> = ends(text).skip(count - 1).collect();
                (!ends.is_empty()).then_some((0, ends))
            }
            Matcher::Exactly { count, without } => {
                let end = ends(text).nth(count - 1);
                let fits = match without {
                    Some(without) => {
                        let before = find(self, without)?.unwrap_or(text.len());
                        end.is_some_and(|end| starts(&text[..before]).any(|i| i == end))
                    }
                    None => true,
                };
                end.filter(|_| fits).map(|end| (0, vec![end]))
            }
            Matcher::AnyOf(matchers) => self.first_of(matchers, part)?,
            Matcher::Row { length, parts } => self.first_row(*length, parts, part)?,
            // The library has not written this: a tree is found nowhere.
            Matcher::Tree(_) => None,
        })
    }

    /// The first place of any, with the ends of all that are found there.
    fn first_of(&mut self, matchers: &[Matcher], part: Range<usize>) -> Result<Found, Halt> {
        let mut first: Found = None;
        for matcher in matchers {
            let Some((at, mut ends)) = self.index(matcher, part.clone())? else { continue };
            first = match first {
                Some((before, all)) if before < at => Some((before, all)),
                Some((before, all)) if before == at => {
                    ends.extend(all);
                    ends.sort_unstable();
                    ends.dedup();
                    Some((at, ends))
                }
                _ => Some((at, ends)),
            };
        }
        Ok(first)
    }

    /// The first place where a row fits. Its length in characters is taken for bytes.
    fn first_row(
        &mut self,
        length: usize,
        parts: &[Matcher],
        part: Range<usize>,
    ) -> Result<Found, Halt> {
        for (i, _) in runes(&self.text[part.clone()]) {
            if part.len() - i < length {
                break;
            }
            self.fuel.spend(1)?;
            if self.row(parts, part.start + i..part.end)? {
                return Ok(Some((i, vec![length])));
            }
        }
        Ok(None)
    }

    /// True if the text begins with all parts, each in as many characters as it has.
    fn row(&mut self, parts: &[Matcher], part: Range<usize>) -> Result<bool, Halt> {
        let mut at = part.start;
        for own in parts {
            let length = own.length().unwrap_or_default();
            let rest = &self.text[at..part.end];
            let (mut count, mut last) = (0, 0);
            for (i, _) in runes(rest) {
                (count, last) = (count + 1, i);
                if count == length {
                    break;
                }
            }
            if count < length {
                return Ok(false);
            }
            if last >= rest.len() {
                return Err(Halt::Crash);
            }
            // Only the first byte of the last character is looked at.
            if !self.matches(own, at..at + last + 1)? {
                return Ok(false);
            }
            at += last + 1;
        }
        Ok(true)
    }

    fn tree(&mut self, tree: &Tree, part: Range<usize>) -> Result<bool, Halt> {
        let key = (std::ptr::from_ref(tree), part.start, part.end);
        if let Some(told) = self.told.get(&key) {
            return Ok(*told);
        }
        let told = self.look_through(tree, part)?;
        self.told.insert(key, told);
        Ok(told)
    }

    /// True if the tree's value is found with what stands before and after it fitting as well.
    fn look_through(&mut self, tree: &Tree, part: Range<usize>) -> Result<bool, Halt> {
        let length = |side: &Option<Matcher>| {
            side.as_ref().map_or(Some(0), Matcher::length).unwrap_or_default()
        };
        let mut from = part.start + length(&tree.left);
        let Some(to) = part.end.checked_sub(length(&tree.right)) else { return Ok(false) };
        while from < to {
            self.fuel.spend(1)?;
            let Some((at, ends)) = self.index(&tree.value, from..to)? else { return Ok(false) };
            let found = from + at;
            if self.side(tree.left.as_ref(), part.start..found)? {
                for end in ends.iter().rev() {
                    let rest = (found + end).min(part.end)..part.end;
                    if self.side(tree.right.as_ref(), rest)? {
                        return Ok(true);
                    }
                }
            }
            from = found + rune(&self.text[found..part.end]).1;
        }
        Ok(false)
    }

    fn side(&mut self, matcher: Option<&Matcher>, part: Range<usize>) -> Result<bool, Halt> {
        matcher.map_or(Ok(part.is_empty()), |matcher| self.matches(matcher, part))
    }

    fn find(&mut self, part: Range<usize>, own: &str) -> Result<Option<usize>, Halt> {
        let text = &self.text[part];
        let found = text.windows(own.len()).position(|window| window == own.as_bytes());
        self.fuel.spend(1 + found.unwrap_or(text.len()) / 8)?;
        Ok(found)
    }
}

/// True if a matcher of one character takes this one.
fn takes(matcher: &Matcher, rune: char) -> bool {
    match matcher {
        Matcher::List { chars, not } => chars.contains(&rune) != *not,
        Matcher::Range { low, high, not } => (*low..=*high).contains(&rune) != *not,
        _ => true,
    }
}

/// Where a text ends in a part of another, looked for from behind and without overlaps.
fn ends_from_behind(text: &[u8], end: &str) -> Option<Vec<usize>> {
    let (mut ends, mut rest) = (Vec::new(), text);
    while let Some(at) = rest.windows(end.len()).rposition(|window| window == end.as_bytes()) {
        ends.push(at + end.len());
        rest = &rest[..at];
    }
    ends.reverse();
    (!ends.is_empty()).then_some(ends)
}

/// The first character, and its bytes. A byte that begins none is one by itself, which stands for no character.
fn rune(text: &[u8]) -> (char, usize) {
    let Some(&first) = text.first() else { return (char::REPLACEMENT_CHARACTER, 0) };
    let width = match first {
        0..=0x7f => 1,
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => 1,
    };
    let own = text.get(..width).and_then(|bytes| std::str::from_utf8(bytes).ok());
    match own.and_then(|own| own.chars().next()) {
        Some(c) => (c, width),
        None => (char::REPLACEMENT_CHARACTER, 1),
    }
}

/// The characters, each with where it begins.
fn runes(text: &[u8]) -> impl Iterator<Item = (usize, char)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let (rune, width) = rune(text.get(at..)?);
        let begin = at;
        at += width;
        (width > 0).then_some((begin, rune))
    })
}

/// Where characters end. One that is none counts as the three bytes that stand for it.
fn ends(text: &[u8]) -> impl Iterator<Item = usize> {
    runes(text).map(|(i, rune)| i + rune.len_utf8())
}

/// Where characters begin, and the end.
fn starts(text: &[u8]) -> impl Iterator<Item = usize> {
    runes(text).map(|(i, _)| i).chain(std::iter::once(text.len()))
}
