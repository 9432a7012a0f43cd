//! The patterns of a tree's annotations and expressions, each made ready once and matched with each path once.

use std::collections::HashMap;
use std::sync::Arc;

use super::annotations;
use super::fuel::{Exhausted, Fuel};
use super::glob::{Glob, Halt};
use crate::forge::ChangedPaths;

/// Bytes of the patterns that are kept ready.
const MAX_READY: usize = 256 << 10;

/// Why a pattern has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// It takes too many steps.
    Exhausted,
    /// What is wrong with the pattern.
    Broken(String),
}

impl From<Exhausted> for Trouble {
    fn from(_: Exhausted) -> Self {
        Self::Exhausted
    }
}

/// Patterns that are ready, and what they said of the paths that changed.
#[derive(Debug)]
pub(super) struct Globs<'c> {
    paths: &'c [String],
    /// The paths as annotations compare them.
    full: Vec<String>,
    ready: HashMap<String, Result<Arc<Glob>, String>>,
    /// By pattern, and whether full paths were compared.
    told: HashMap<(String, bool), bool>,
    bytes: usize,
}

impl<'c> Globs<'c> {
    /// For the paths that changed, where they are known.
    pub(super) fn new(changed: Option<&'c ChangedPaths>) -> Self {
        let paths = changed.map_or(&[][..], |changed| &changed.paths);
        Self {
            paths,
            full: paths.iter().map(|path| annotations::full(path)).collect(),
            ready: HashMap::new(),
            told: HashMap::new(),
            bytes: 0,
        }
    }

    /// True if a branch fits an annotation's pattern.
    ///
    /// # Errors
    /// Why there is no answer.
    pub(super) fn branch(
        &mut self,
        pattern: &str,
        branch: &str,
        fuel: &mut Fuel,
    ) -> Result<bool, Trouble> {
        let own = annotations::full(pattern);
        let glob = self.glob(&own, fuel)?;
        let text = if annotations::is_for_tags(pattern) {
            branch.to_owned()
        } else {
            annotations::full(branch)
        };
        let fits = glob.matches(&text, fuel).map_err(|halt| trouble(halt, pattern))?;
        Ok(fits || pattern == branch)
    }

    /// True if a changed path matches an annotation's pattern.
    ///
    /// # Errors
    /// Why there is no answer.
    pub(super) fn path(&mut self, pattern: &str, fuel: &mut Fuel) -> Result<bool, Trouble> {
        let full = !annotations::is_for_tags(pattern);
        let fits = self.any(&annotations::full(pattern), full, fuel)?;
        fuel.spend(1 + self.paths.len() / 4)?;
        Ok(fits || self.paths.iter().any(|path| path == pattern))
    }

    /// True if a changed path matches an expression's pattern.
    ///
    /// # Errors
    /// Why there is no answer.
    pub(super) fn path_as_it_is(
        &mut self,
        pattern: &str,
        fuel: &mut Fuel,
    ) -> Result<bool, Trouble> {
        self.any(pattern, false, fuel)
    }

    /// Reads an annotation's pattern, to tell what is wrong with it.
    ///
    /// # Errors
    /// Why there is no answer.
    pub(super) fn read(&mut self, pattern: &str, fuel: &mut Fuel) -> Result<(), Trouble> {
        self.glob(&annotations::full(pattern), fuel).map(|_| ())
    }

    fn any(&mut self, pattern: &str, full: bool, fuel: &mut Fuel) -> Result<bool, Trouble> {
        let glob = self.glob(pattern, fuel)?;
        let key = (pattern.to_owned(), full);
        if let Some(told) = self.told.get(&key) {
            return Ok(*told);
        }
        let mut told = false;
        for path in if full { &self.full } else { self.paths } {
            told = glob.matches(path, fuel).map_err(|halt| trouble(halt, pattern))?;
            if told {
                break;
            }
        }
        self.told.insert(key, told);
        Ok(told)
    }

    fn glob(&mut self, pattern: &str, fuel: &mut Fuel) -> Result<Arc<Glob>, Trouble> {
        if let Some(ready) = self.ready.get(pattern) {
            return ready.clone().map_err(Trouble::Broken);
        }
        fuel.spend(Glob::price(pattern))?;
        self.bytes += pattern.len();
        if self.bytes > MAX_READY {
            (self.ready, self.told) = (HashMap::new(), HashMap::new());
            self.bytes = pattern.len();
        }
        let glob = Glob::new(pattern).map(Arc::new).map_err(|problem| broken(pattern, &problem));
        self.ready.insert(pattern.to_owned(), glob.clone());
        glob.map_err(Trouble::Broken)
    }
}

fn trouble(halt: Halt, pattern: &str) -> Trouble {
    match halt {
        Halt::Exhausted => Trouble::Exhausted,
        Halt::Crash => Trouble::Broken(broken(
            pattern,
            "has an empty alternative that Pipelines-as-Code can't match",
        )),
    }
}

fn broken(pattern: &str, problem: &str) -> String {
    let shown = pattern.strip_prefix(annotations::HEADS).unwrap_or(pattern);
    format!("`{}` {problem}", super::printable(shown, 120))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_kept_ready_up_to_a_bound() {
        let (mut globs, mut fuel) = (Globs::new(None), Fuel::new(1));
        for n in 0..MAX_READY / 1_024 {
            fuel.refill();
            // Too long for a pattern, which is remembered as well.
            let pattern = format!("{n:04}{}", "x".repeat(1_020));
            assert!(globs.path_as_it_is(&pattern, &mut fuel).is_err());
        }
        assert_eq!(globs.ready.len(), MAX_READY / 1_024);
        fuel.refill();
        assert_eq!(globs.path_as_it_is("a", &mut fuel), Ok(false));
        assert_eq!((globs.ready.len(), globs.bytes), (1, 1));
    }

    #[test]
    fn every_fourth_path_costs_a_step_beside_the_search() {
        let steps = |paths: usize| {
            let changed = ChangedPaths { paths: vec!["a".into(); paths], truncated: false };
            let (mut globs, mut fuel) = (Globs::new(Some(&changed)), Fuel::new(1));
            fuel.refill();
            // Once more, so that the search itself costs nothing.
            globs.path("b", &mut fuel).unwrap();
            let before = fuel.left();
            assert_eq!(globs.path("b", &mut fuel), Ok(false));
            before - fuel.left()
        };
        assert_eq!([steps(0), steps(8), steps(16)], [1, 3, 5]);
    }
}
