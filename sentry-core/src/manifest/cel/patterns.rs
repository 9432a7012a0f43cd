//! Regular expressions of `matches`: RE2's language, whose time is linear in the text.

use std::collections::HashMap;
use std::rc::Rc;

use regex::{Regex, RegexBuilder};

use super::super::fuel::Fuel;
use super::value::{Fault, fault};

/// Bytes of one pattern.
const MAX_PATTERN: usize = 500;
/// Patterns of one expression.
const MAX_PATTERNS: usize = 32;
/// Bytes that a pattern may become, and how many steps each byte of text then costs: most are small.
const SIZES: [(usize, usize); 2] = [(16 << 10, 1), (128 << 10, 16)];
/// What reading a pattern costs.
const FOR_PATTERN: usize = 5_000;

/// The patterns that were used, ready to match, each with its cost.
#[derive(Debug, Default)]
pub(super) struct Patterns(HashMap<Rc<str>, (Regex, usize)>);

impl Patterns {
    /// True if a part of the text fits the pattern.
    pub(super) fn matches(
        &mut self,
        pattern: &Rc<str>,
        text: &str,
        fuel: &mut Fuel,
    ) -> Result<bool, Fault> {
        if !self.0.contains_key(pattern) {
            fuel.spend(FOR_PATTERN)?;
            if self.0.len() == MAX_PATTERNS {
                let why = format!("it uses more than {MAX_PATTERNS} patterns: join some with `|`");
                return Err(Fault::Limit(why));
            }
            self.0.insert(Rc::clone(pattern), build(pattern)?);
        }
        let (regex, cost) = &self.0[pattern];
        fuel.spend(cost * (8 + text.len() / 4))?;
        Ok(regex.is_match(text))
    }
}

fn build(pattern: &str) -> Result<(Regex, usize), Fault> {
    let shown = || super::super::printable(pattern, 60);
    if pattern.len() <= MAX_PATTERN {
        for (size, cost) in SIZES {
            let built = RegexBuilder::new(pattern).size_limit(size).dfa_size_limit(1 << 20).build();
            match built {
                Ok(regex) => return Ok((regex, cost)),
                Err(regex::Error::CompiledTooBig(_)) => {}
                Err(_) => return fault(format!("`{}` is not a regular expression", shown())),
            }
        }
    }
    Err(Fault::Limit(format!("the pattern `{}` is too complex: simplify it", shown())))
}
