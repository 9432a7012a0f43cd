//! Which branches of A a watch covers.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use globset::{GlobBuilder, GlobMatcher};

use crate::repo::{BranchName, ParseError};

/// Which branches of A a watch covers: exact names and globs (`release/*`; `*` also matches `/`). One with `!` before
/// it excludes what it matches, wherever it is.
#[derive(Clone)]
pub struct BranchSelector {
    patterns: Vec<Pattern>,
}

#[derive(Clone)]
struct Pattern {
    /// As written.
    text: String,
    takes_away: bool,
    what: What,
}

#[derive(Clone)]
enum What {
    Exact(BranchName),
    /// A glob with no other special character than single stars: its text is all that is needed to match it.
    Stars,
    /// Any other glob. Compiled it takes kilobytes, so its copies share it.
    Glob(Arc<GlobMatcher>),
}

impl BranchSelector {
    /// Reads patterns; at least one that takes nothing away is needed.
    ///
    /// # Errors
    /// The first pattern that is neither a branch name nor a glob.
    pub fn new<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Result<Self, ParseError> {
        let patterns = patterns.into_iter().map(Pattern::read).collect::<Result<Vec<_>, _>>()?;
        let this = Self { patterns };
        if this.adding().next().is_none() {
            let problem = if this.patterns.is_empty() {
                "at least one branch is needed"
            } else {
                "all patterns are exclusions: add the branches to watch"
            };
            return Err(ParseError::new("branches", &this.to_string(), problem));
        }
        Ok(this)
    }

    /// The branches of these names. A name is no pattern, though git lets it hold `{`, `}` and begin with `!`.
    pub fn named<'a>(names: impl IntoIterator<Item = &'a BranchName>) -> Self {
        Self { patterns: names.into_iter().map(Pattern::named).collect() }
    }

    fn adding(&self) -> impl Iterator<Item = &Pattern> {
        self.patterns.iter().filter(|pattern| !pattern.takes_away)
    }

    /// True if the branch is selected.
    #[must_use]
    pub fn matches(&self, branch: &BranchName) -> bool {
        self.selects(branch.as_str())
    }

    /// True if a branch or a tag of this name is selected.
    pub(super) fn selects(&self, name: &str) -> bool {
        let mut away = self.patterns.iter().filter(|pattern| pattern.takes_away);
        self.adding().any(|pattern| pattern.fits(name)) && !away.any(|p| p.fits(name))
    }

    /// The branches that are named exactly, in the order they were written.
    pub fn exact(&self) -> impl Iterator<Item = &BranchName> {
        self.adding().filter_map(|pattern| match &pattern.what {
            What::Exact(name) => Some(name),
            What::Stars | What::Glob(_) => None,
        })
    }

    /// For each pattern the part before its first special character: what a server that knows only
    /// prefixes can be asked for.
    pub fn prefixes(&self) -> impl Iterator<Item = &str> {
        self.adding().map(|pattern| match &pattern.what {
            What::Exact(name) => name.as_str(),
            What::Stars | What::Glob(_) => {
                let end = pattern.text.find(['*', '?', '[', '{', '\\']);
                &pattern.text[..end.unwrap_or(pattern.text.len())]
            }
        })
    }

    /// True if every pattern is an exact name.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.adding().all(|pattern| matches!(pattern.what, What::Exact(_)))
    }

    /// All patterns as written.
    pub fn patterns(&self) -> impl Iterator<Item = &str> {
        self.patterns.iter().map(|pattern| pattern.text.as_str())
    }

    /// Those as written that fit none of these names, though they are there to select some.
    pub(super) fn idle<'s>(&'s self, names: &[&str]) -> Vec<&'s str> {
        let fits = |p: &Pattern| names.iter().any(|name| p.fits(name));
        let idle = self.adding().filter(|pattern| !fits(pattern));
        idle.map(|pattern| pattern.text.as_str()).collect()
    }

    /// One selector for what any of the given ones selects, without repeats, in a stable order. It may select more: what one
    /// takes away another may want.
    #[must_use]
    pub fn union<'a>(selectors: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut seen = BTreeMap::new();
        for pattern in selectors.into_iter().flat_map(Self::adding) {
            let key = (pattern.text.as_str(), !matches!(pattern.what, What::Exact(_)));
            seen.entry(key).or_insert_with(|| pattern.clone());
        }
        Self { patterns: seen.into_values().collect() }
    }
}

impl fmt::Display for BranchSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.patterns().collect::<Vec<_>>().join(", "))
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

impl Pattern {
    fn named(name: &BranchName) -> Self {
        let text = name.as_str().to_owned();
        Self { text, takes_away: false, what: What::Exact(name.clone()) }
    }

    fn read(written: &str) -> Result<Self, ParseError> {
        let text = written.strip_prefix('!').unwrap_or(written);
        let takes_away = text.len() < written.len();
        let what = if text.contains(SPECIAL) { glob(text)? } else { exact(text)? };
        Ok(Self { text: written.to_owned(), takes_away, what })
    }

    fn fits(&self, name: &str) -> bool {
        match &self.what {
            What::Exact(exact) => exact.as_str() == name,
            What::Stars => {
                let glob = &self.text[usize::from(self.takes_away)..];
                fits_stars(glob, name)
            }
            What::Glob(matcher) => matcher.is_match(name),
        }
    }
}

/// What makes a text a glob.
const SPECIAL: [char; 4] = ['*', '?', '[', '{'];

/// True if the name is the glob's parts in their order, with anything between them, where a star is.
fn fits_stars(glob: &str, name: &str) -> bool {
    let Some((first, more)) = glob.split_once('*') else { return glob == name };
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let mut parts = more.split('*').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    true
}

fn exact(text: &str) -> Result<What, ParseError> {
    Ok(What::Exact(text.parse()?))
}

fn glob(text: &str) -> Result<What, ParseError> {
    let probe: String =
        text.chars().map(|c| if "*?[]{},!\\".contains(c) { 'x' } else { c }).collect();
    probe.parse::<BranchName>().map_err(|e| ParseError::new("branch glob", text, e.problem()))?;
    let is_plain = !text.contains(['?', '[', ']', '{', '}', '\\']) && !text.contains("**");
    if is_plain {
        return Ok(What::Stars);
    }
    let glob = GlobBuilder::new(text)
        .build()
        .map_err(|e| ParseError::new("branch glob", text, e.kind().to_string()))?;
    Ok(What::Glob(Arc::new(glob.compile_matcher())))
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

    proptest::proptest! {
        #[test]
        fn stars_match_what_the_library_of_globs_says(glob in "[ab/.,!*-]{1,8}", name in "[ab/.,!-]{0,10}") {
            let compiled = GlobBuilder::new(&glob).build().unwrap().compile_matcher();
            let single = !glob.contains("**");
            assert!(!single || fits_stars(&glob, &name) == compiled.is_match(&name));
        }
    }

    #[test]
    fn only_globs_that_need_it_are_compiled() {
        let is_compiled = |p: &str| matches!(Pattern::read(p).unwrap().what, What::Glob(_));
        for plain in ["main", "*", "release/*", "!old/*-x", "a*b*c"] {
            assert!(!is_compiled(plain), "{plain}");
        }
        for other in ["**", "a/**/b", "v?", "[a-c]*", "{a,b}*", r"a\,*"] {
            assert!(is_compiled(other), "{other}");
        }
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
        assert_eq!(s.to_string(), "main, release/*");
        assert!(!s.is_exact());
    }

    #[test]
    fn a_selector_refuses_what_git_would_refuse() {
        let bad = [vec![], vec![""], vec!["a..b"], vec!["-x"], vec!["a[b"], vec!["--x=*"]];
        for bad in bad.into_iter().chain([vec!["!"], vec!["main", "!a..b"], vec!["!main"]]) {
            assert!(BranchSelector::new(bad.clone()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn what_a_pattern_takes_away_is_not_selected_wherever_it_stands() {
        for patterns in [["release/*", "!release/0.*"], ["!release/0.*", "release/*"]] {
            let s = BranchSelector::new(patterns).unwrap();
            assert!(s.matches(&branch("release/1.0")) && !s.matches(&branch("release/0.9")));
            assert!(!s.matches(&branch("main")), "{patterns:?}");
            assert_eq!(s.prefixes().collect::<Vec<_>>(), ["release/"]);
            assert_eq!(s.patterns().collect::<Vec<_>>(), patterns);
        }
        let s = BranchSelector::new(["dev", "!main", "{!x}"]).unwrap();
        assert!(!s.matches(&branch("main")) && s.matches(&branch("!x")));
        assert!(BranchSelector::named([&branch("!x")]).matches(&branch("!x")), "a name");
        assert!(!BranchSelector::new(["a", "!b"]).unwrap().matches(&branch("!b")));
        // Asked for together with another watch's, that one's branch must be in the answer.
        let other = BranchSelector::new(["main"]).unwrap();
        assert!(BranchSelector::union([&s, &other]).matches(&branch("main")));
    }

    #[test]
    fn a_pattern_that_fits_no_branch_is_idle_and_one_that_takes_away_is_not() {
        let s = BranchSelector::new(["main", "mian", "release/*", "!old/*"]).unwrap();
        assert_eq!(s.idle(&["main", "dev"]), ["mian", "release/*"]);
        assert_eq!(s.idle(&["mian", "main", "release/1"]), [""; 0]);
    }

    #[test]
    fn a_union_selects_what_any_part_selects_without_repeats() {
        let a = BranchSelector::new(["main", "x"]).unwrap();
        let b = BranchSelector::new(["main", "release/*"]).unwrap();
        assert_eq!(BranchSelector::union([&a, &b]).to_string(), "main, release/*, x");
    }
}
