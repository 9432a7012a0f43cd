//! The globs of Pipelines-as-Code: those of <https://github.com/gobwas/glob> v0.2.3 without separators, as they behave.
//!
//! That library makes a tree of small matchers out of a pattern, and some of them decide otherwise than the pattern
//! reads: `a/**/b` matches `a/b`, as the beginning and the end may share the slash. Files are written until they work
//! there, so the same tree is built here (`syntax` → `tree`) and asked the same questions (`search`). What was asked
//! once of a part of the text is remembered, and every step is paid for, so the time is bounded.

mod matcher;
mod search;
mod syntax;
#[cfg(test)]
mod tests;
mod tree;

use self::matcher::Matcher;
use super::fuel::{Exhausted, Fuel};

/// Bytes of one pattern.
const MAX_PATTERN: usize = 1_000;
/// What making one pattern ready costs, and each byte of it.
const FOR_PATTERN: usize = 50;
const FOR_BYTE: usize = 10;

/// A pattern that is ready to match.
#[derive(Debug)]
pub(super) struct Glob(Matcher);

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Halt {
    /// It takes too many steps.
    Exhausted,
    /// The library that is followed here ends its program over this pattern and text.
    Crash,
}

impl From<Exhausted> for Halt {
    fn from(_: Exhausted) -> Self {
        Self::Exhausted
    }
}

impl Glob {
    /// Reads a pattern.
    ///
    /// # Errors
    /// What is wrong with the pattern.
    pub(super) fn new(pattern: &str) -> Result<Self, String> {
        if pattern.len() > MAX_PATTERN {
            return Err(format!("has more than {MAX_PATTERN} bytes: use several shorter ones"));
        }
        tree::build(&syntax::parse(pattern)?).map(Self)
    }

    /// What [`Self::new`] costs for a pattern.
    pub(super) fn price(pattern: &str) -> usize {
        FOR_PATTERN + FOR_BYTE * pattern.len().min(MAX_PATTERN)
    }

    /// True if the whole text fits.
    ///
    /// # Errors
    /// If the fuel ends first, or the pattern has no answer for this text.
    pub(super) fn matches(&self, text: &str, fuel: &mut Fuel) -> Result<bool, Halt> {
        search::matches(&self.0, text, fuel)
    }
}
