//! Which tags of A a watch covers, and what their names say as versions.

use semver::{Prerelease, Version, VersionReq};

use super::BranchSelector;
use crate::repo::{ParseError, TagName};

/// Which tags of A a watch covers: names and globs, as of branches, or a range of versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagSelector {
    /// A tag is selected by any of them.
    rules: Vec<Rule>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Rule {
    Names(BranchSelector),
    Versions(Range),
}

/// A range of versions, with its text as written.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Range {
    text: String,
    range: VersionReq,
}

/// How a range is told from a glob among patterns.
const RANGE: &str = "{semver: ";

impl TagSelector {
    /// Reads names and globs; at least one that takes nothing away is needed.
    ///
    /// # Errors
    /// The first pattern that is neither a tag's name nor a glob.
    pub fn names<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Result<Self, ParseError> {
        Ok(Self { rules: vec![Rule::Names(BranchSelector::new(patterns)?)] })
    }

    /// Reads a range of versions such as `>=1.2, <2`, in Cargo's notation. A tag is in it if it is a version with or
    /// without a `v` before it; missing numbers are zeros. Versions before a release are in a range only if it names one
    /// of the same release.
    ///
    /// # Errors
    /// If it is no range.
    pub fn versions(range: &str) -> Result<Self, ParseError> {
        let bad = |e: semver::Error| ParseError::new("range of versions", range, e.to_string());
        let text = range.trim().to_owned();
        let range = text.parse().map_err(bad)?;
        Ok(Self { rules: vec![Rule::Versions(Range { text, range })] })
    }

    /// The tags of these names.
    pub fn named<'a>(tags: impl IntoIterator<Item = &'a TagName>) -> Self {
        let names: Vec<_> = tags.into_iter().map(TagName::as_branch).collect();
        Self { rules: vec![Rule::Names(BranchSelector::named(&names))] }
    }

    /// Reads what [`patterns`](Self::patterns) gives.
    pub(super) fn read(patterns: &[&str]) -> Result<Self, ParseError> {
        match patterns {
            [one] if one.starts_with(RANGE) => {
                Self::versions(one[RANGE.len()..].trim_end_matches('}'))
            }
            names => Self::names(names.iter().copied()),
        }
    }

    /// True if the tag is selected.
    #[must_use]
    pub fn matches(&self, tag: &TagName) -> bool {
        self.rules.iter().any(|rule| match rule {
            Rule::Names(names) => names.selects(tag.as_str()),
            Rule::Versions(range) => plain_version(tag).is_some_and(|v| range.range.matches(&v)),
        })
    }

    /// What the names of all selected tags begin with: one of these.
    pub fn prefixes(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().flat_map(|rule| match rule {
            Rule::Names(names) => names.prefixes().collect::<Vec<_>>(),
            Rule::Versions(_) => vec![""],
        })
    }

    /// All patterns as written; a range as `{semver: RANGE}`.
    pub fn patterns(&self) -> impl Iterator<Item = String> {
        self.rules.iter().flat_map(|rule| match rule {
            Rule::Names(names) => names.patterns().map(str::to_owned).collect(),
            Rule::Versions(range) => vec![range.shown()],
        })
    }

    /// The range, as written, if that is what tags are selected by.
    #[must_use]
    pub fn range(&self) -> Option<&str> {
        match self.rules.as_slice() {
            [Rule::Versions(range)] => Some(&range.text),
            _ => None,
        }
    }

    /// One selector for what any of the given ones selects.
    pub(super) fn union<'a>(selectors: impl IntoIterator<Item = &'a Self>) -> Option<Self> {
        let mut rules: Vec<Rule> = Vec::new();
        for rule in selectors.into_iter().flat_map(|selector| &selector.rules) {
            if !rules.contains(rule) {
                rules.push(rule.clone());
            }
        }
        rules.sort_by_cached_key(Rule::shown);
        (!rules.is_empty()).then_some(Self { rules })
    }
}

impl Rule {
    fn shown(&self) -> String {
        match self {
            Self::Names(names) => names.to_string(),
            Self::Versions(range) => range.shown(),
        }
    }
}

impl Range {
    fn shown(&self) -> String {
        format!("{RANGE}{}}}", self.text)
    }
}

/// The tag before another one in a series: the one with the next lower version among those whose names begin alike.
/// `None` if the tag is no version, or there is none before it.
pub(crate) fn before<'a>(
    tag: &TagName,
    others: impl Iterator<Item = &'a TagName>,
) -> Option<&'a TagName> {
    let (series, version) = series(tag)?;
    let of_series = others.filter_map(|other| {
        let (its, version) = self::series(other)?;
        (its == series).then_some((version, other))
    });
    of_series.filter(|(lower, _)| *lower < version).max().map(|(_, other)| other)
}

/// The version that a whole tag is, with or without a `v` before it.
fn plain_version(tag: &TagName) -> Option<Version> {
    let (series, version) = series(tag)?;
    matches!(series, "" | "v" | "V").then_some(version)
}

/// What stands before a tag's version, and the version: `app/v1.2` is 1.2.0 of the series `app/v`.
fn series(tag: &TagName) -> Option<(&str, Version)> {
    let name = tag.as_str();
    let part = name.rfind('/').map_or(0, |slash| slash + 1);
    let begin = part + name[part..].find(|c: char| c.is_ascii_digit())?;
    let (series, text) = name.split_at(begin);
    Some((series, version(text)?))
}

/// `1`, `1.2`, `1.2.3`, each with `-PRE` and `+BUILD` after it or not.
fn version(text: &str) -> Option<Version> {
    let (text, build) = text.split_once('+').unwrap_or((text, ""));
    let (numbers, pre) = text.split_once('-').unwrap_or((text, ""));
    let parts: Vec<&str> = numbers.split('.').collect();
    let number = |at: usize| parts.get(at).map_or(Some(0), |part| part.parse::<u64>().ok());
    let digits = |part: &&str| part.bytes().all(|b| b.is_ascii_digit());
    if parts.len() > 3 || !parts.iter().all(digits) {
        return None;
    }
    Some(Version {
        major: number(0)?,
        minor: number(1)?,
        patch: number(2)?,
        pre: Prerelease::new(pre).ok()?,
        build: semver::BuildMetadata::new(build).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(name: &str) -> TagName {
        name.parse().unwrap()
    }

    #[test]
    fn a_range_selects_versions_with_or_without_a_v() {
        for (range, yes, no) in [
            (
                ">=1.2",
                &["v1.2", "1.2.0", "v1.3.1", "V2", "1.2+b"][..],
                &["v1.1.9", "1.2-rc.1", "x1.3", "app/v1.3"][..],
            ),
            ("~1.2", &["v1.2.9"], &["v1.3.0", "v1.2.9.1", "latest"]),
            (">=1.2, <2", &["1.99"], &["2", "v2.0.0-rc.1"]),
            (">=1.2.0-rc.1", &["v1.2.0-rc.2", "v1.2"], &["v1.2.0-beta", "v1.3.0-rc.1"]),
            ("*", &["0", "v7.1"], &["v1-rc", "release-1"]),
        ] {
            let selector = TagSelector::versions(range).unwrap();
            for name in yes {
                assert!(selector.matches(&tag(name)), "{range} {name}");
            }
            for name in no {
                assert!(!selector.matches(&tag(name)), "{range} {name}");
            }
            assert_eq!(selector.prefixes().collect::<Vec<_>>(), [""]);
        }
        for bad in ["", ">=x", "1 || 2", "v1", ">="] {
            assert!(TagSelector::versions(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_select_as_they_do_for_branches() {
        let selector = TagSelector::names(["v*", "!v0.*", "nightly"]).unwrap();
        for (name, is_selected) in
            [("v1", true), ("v0.9", false), ("nightly", true), ("x", false), ("v0", true)]
        {
            assert_eq!(selector.matches(&tag(name)), is_selected, "{name}");
        }
        assert_eq!(selector.prefixes().collect::<Vec<_>>(), ["v", "nightly"]);
        assert!(TagSelector::names(["!v0.*"]).is_err() && TagSelector::names([]).is_err());
    }

    #[test]
    fn the_tag_before_one_is_the_next_lower_version_of_its_series() {
        let all = ["v1.0", "v1.2", "v1.10", "v1.10.0-rc.1", "app/v1.1", "latest", "v2", "2.0"];
        let all: Vec<TagName> = all.iter().map(|name| tag(name)).collect();
        for (name, expected) in [
            ("v1.2", Some("v1.0")),
            ("v1.10", Some("v1.10.0-rc.1")),
            ("v1.10.0-rc.1", Some("v1.2")),
            ("v2", Some("v1.10")),
            ("v1.0", None),
            ("app/v1.2", Some("app/v1.1")),
            ("app/v1.1", None),
            ("lib/v1.2", None),
            ("latest", None),
            ("3", Some("2.0")),
            ("v1.2.3.4", None),
        ] {
            let found = before(&tag(name), all.iter());
            assert_eq!(found.map(TagName::as_str), expected, "{name}");
        }
    }

    #[test]
    fn what_is_shown_is_read_again() {
        for selector in [
            TagSelector::names(["v*", "!v0.*"]).unwrap(),
            TagSelector::versions(">=1.2, <2").unwrap(),
        ] {
            let shown: Vec<String> = selector.patterns().collect();
            let shown: Vec<&str> = shown.iter().map(String::as_str).collect();
            assert_eq!(TagSelector::read(&shown).unwrap(), selector);
        }
    }
}
