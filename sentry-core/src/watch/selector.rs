//! Which branches of A a watch looks at.

use std::collections::BTreeMap;
use std::fmt;

use globset::{GlobBuilder, GlobMatcher};

use crate::repo::{BranchName, ParseError};

/// Which branches of A a watch looks at: exact names and globs (`release/*`; `*` also matches `/`).
#[derive(Clone)]
pub struct BranchSelector {
    patterns: Vec<Pattern>,
}

#[derive(Clone)]
enum Pattern {
    Exact(BranchName),
    Glob { text: String, matcher: Box<GlobMatcher> },
}

impl BranchSelector {
    /// Reads patterns; at least one is needed.
    ///
    /// # Errors
    /// The first pattern that is neither a branch name nor a glob.
    pub fn new<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Result<Self, ParseError> {
        let patterns = patterns.into_iter().map(pattern).collect::<Result<Vec<_>, _>>()?;
        if patterns.is_empty() {
            return Err(ParseError::new("branches", "", "at least one branch is needed"));
        }
        Ok(Self { patterns })
    }

    /// The branches of these names. A name is no pattern, though git lets it hold `{` and `}`.
    pub fn named<'a>(names: impl IntoIterator<Item = &'a BranchName>) -> Self {
        Self { patterns: names.into_iter().cloned().map(Pattern::Exact).collect() }
    }

    /// True if the branch is selected.
    #[must_use]
    pub fn matches(&self, branch: &BranchName) -> bool {
        self.patterns.iter().any(|p| match p {
            Pattern::Exact(name) => name == branch,
            Pattern::Glob { matcher, .. } => matcher.is_match(branch.as_str()),
        })
    }

    /// The branches that are named exactly, in the order they were written.
    pub fn exact(&self) -> impl Iterator<Item = &BranchName> {
        self.patterns.iter().filter_map(|p| match p {
            Pattern::Exact(name) => Some(name),
            Pattern::Glob { .. } => None,
        })
    }

    /// The globs, as written.
    pub fn globs(&self) -> impl Iterator<Item = &str> {
        self.patterns.iter().filter_map(|p| match p {
            Pattern::Exact(_) => None,
            Pattern::Glob { text, .. } => Some(text.as_str()),
        })
    }

    /// For each pattern the part before its first special character: what a server that knows only
    /// prefixes can be asked for.
    pub fn prefixes(&self) -> impl Iterator<Item = &str> {
        self.patterns.iter().map(|p| match p {
            Pattern::Exact(name) => name.as_str(),
            Pattern::Glob { text, .. } => {
                &text[..text.find(['*', '?', '[', '{', '\\']).unwrap_or(text.len())]
            }
        })
    }

    /// True if every pattern is an exact name.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.globs().next().is_none()
    }

    /// All patterns as written.
    pub fn patterns(&self) -> impl Iterator<Item = &str> {
        self.patterns.iter().map(|p| match p {
            Pattern::Exact(name) => name.as_str(),
            Pattern::Glob { text, .. } => text.as_str(),
        })
    }

    /// One selector for what any of the given ones selects, without repeats, in a stable order.
    #[must_use]
    pub fn union<'a>(selectors: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut seen = BTreeMap::new();
        for pattern in selectors.into_iter().flat_map(|s| &s.patterns) {
            let key = match pattern {
                Pattern::Exact(name) => (name.as_str(), false),
                Pattern::Glob { text, .. } => (text.as_str(), true),
            };
            seen.entry(key).or_insert_with(|| pattern.clone());
        }
        Self { patterns: seen.into_values().collect() }
    }
}

impl fmt::Display for BranchSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.patterns().collect::<Vec<_>>().join(","))
    }
}

impl fmt::Debug for BranchSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A compiled glob's own output fills pages.
        f.debug_list().entries(self.patterns()).finish()
    }
}

impl PartialEq for BranchSelector {
    fn eq(&self, other: &Self) -> bool {
        self.patterns().eq(other.patterns())
    }
}

impl Eq for BranchSelector {}

fn pattern(text: &str) -> Result<Pattern, ParseError> {
    if !text.contains(['*', '?', '[', '{']) {
        return Ok(Pattern::Exact(text.parse()?));
    }
    let probe: String =
        text.chars().map(|c| if "*?[]{},!\\".contains(c) { 'x' } else { c }).collect();
    probe.parse::<BranchName>().map_err(|e| ParseError::new("branch glob", text, e.problem()))?;
    let glob = GlobBuilder::new(text)
        .build()
        .map_err(|e| ParseError::new("branch glob", text, e.kind().to_string()))?;
    Ok(Pattern::Glob { text: text.to_owned(), matcher: Box::new(glob.compile_matcher()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_no_pattern_whatever_it_holds() {
        let [odd, main, open]: [BranchName; 3] =
            ["{main,x}", "main", "x{"].map(|name| name.parse().unwrap());
        let named = BranchSelector::named([&odd, &open]);
        assert!(named.matches(&odd) && named.matches(&open) && !named.matches(&main));
        let glob = BranchSelector::new(["{main,x}"]).unwrap();
        let both = BranchSelector::union([&named, &glob]);
        assert!(both.matches(&odd) && both.matches(&main), "a name hides no pattern");
    }

    fn branch(name: &str) -> BranchName {
        name.parse().unwrap()
    }

    #[test]
    fn a_selector_takes_exact_names_and_globs() {
        let s = BranchSelector::new(["main", "release/*"]).unwrap();
        assert!(s.matches(&branch("main")) && s.matches(&branch("release/1.0")));
        assert!(!s.matches(&branch("maintenance")) && !s.matches(&branch("feature/main")));
        assert_eq!(s.prefixes().collect::<Vec<_>>(), ["main", "release/"]);
        assert_eq!(s.to_string(), "main,release/*");
        assert!(!s.is_exact());
    }

    #[test]
    fn a_selector_refuses_what_git_would_refuse() {
        for bad in [vec![], vec![""], vec!["a..b"], vec!["-x"], vec!["a[b"], vec!["--x=*"]] {
            assert!(BranchSelector::new(bad.clone()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_union_selects_what_any_part_selects_without_repeats() {
        let a = BranchSelector::new(["main", "x"]).unwrap();
        let b = BranchSelector::new(["main", "release/*"]).unwrap();
        assert_eq!(BranchSelector::union([&a, &b]).to_string(), "main,release/*,x");
    }
}
