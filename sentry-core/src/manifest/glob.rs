//! The globs of Pipelines-as-Code: those of <https://github.com/gobwas/glob> without separators, so that a `*` runs
//! over a `/` too.

use regex::{Regex, RegexBuilder};

/// Bytes of one pattern.
const MAX_PATTERN: usize = 1_000;
/// Alternatives inside each other.
const MAX_DEPTH: usize = 8;
/// Bytes that a pattern may become: some hundred states.
const MAX_COMPILED: usize = 1 << 20;

/// A pattern that is ready to match.
#[derive(Debug)]
pub(super) struct Glob(Regex);

impl Glob {
    /// Reads a pattern.
    ///
    /// # Errors
    /// What is wrong with the pattern.
    pub(super) fn new(pattern: &str) -> Result<Self, String> {
        if pattern.len() > MAX_PATTERN {
            return Err(format!("has more than {MAX_PATTERN} bytes"));
        }
        let mut regex = String::from(r"(?s)\A");
        translate(pattern, &mut regex)?;
        regex.push_str(r"\z");
        let built = RegexBuilder::new(&regex).size_limit(MAX_COMPILED).build();
        built.map(Self).map_err(|_| "is too complex".to_owned())
    }

    /// True if the whole text fits.
    pub(super) fn matches(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

fn translate(pattern: &str, regex: &mut String) -> Result<(), String> {
    let mut depth = 0;
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '*' => {
                while chars.next_if_eq(&'*').is_some() {}
                regex.push_str(".*");
            }
            '?' => regex.push('.'),
            '[' => class(&mut chars, regex)?,
            '{' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(format!("has more than {MAX_DEPTH} `{{` inside each other"));
                }
                regex.push_str("(?:");
            }
            ',' if depth > 0 => regex.push('|'),
            '}' if depth > 0 => {
                depth -= 1;
                regex.push(')');
            }
            '\\' => literal(chars.next().ok_or("ends with `\\`")?, regex),
            c => literal(c, regex),
        }
    }
    if depth > 0 { Err("has a `{` that is not closed".to_owned()) } else { Ok(()) }
}

/// `[abc]`, `[a-z]`, and both after `!` for any other character.
fn class(
    chars: &mut std::iter::Peekable<std::str::Chars<'_>>,
    regex: &mut String,
) -> Result<(), String> {
    const OPEN: &str = "has a `[` that is not closed";
    let negated = chars.next_if_eq(&'!').is_some();
    let mut members = Vec::new();
    loop {
        match chars.next().ok_or(OPEN)? {
            ']' if !members.is_empty() => break,
            '\\' => members.push(chars.next().ok_or(OPEN)?),
            c => members.push(c),
        }
    }
    regex.push_str(if negated { "[^" } else { "[" });
    match members[..] {
        [low, '-', high] if low > high => return Err(format!("has an empty range `{low}-{high}`")),
        [low, '-', high] => {
            literal(low, regex);
            regex.push('-');
            literal(high, regex);
        }
        _ => members.iter().for_each(|c| literal(*c, regex)),
    }
    regex.push(']');
    Ok(())
}

fn literal(c: char, regex: &mut String) {
    if c.is_alphanumeric() {
        regex.push(c);
    } else {
        regex.push_str(&format!("\\x{{{:x}}}", u32::from(c)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glob_matches_what_pipelines_as_code_matches() {
        for (pattern, yes, no) in [
            ("main", vec!["main"], vec!["main2", "xmain", ""]),
            ("release-*", vec!["release-", "release-1/x"], vec!["release"]),
            ("release/**", vec!["release/1", "release/1/2"], vec!["release"]),
            ("***/*.go", vec!["a/b.go", "a/b/c.go"], vec!["b.go"]),
            ("docs/***", vec!["docs/a", "docs/a/b"], vec!["docs", "xdocs/a"]),
            ("v?.?", vec!["v1.2"], vec!["v10.2"]),
            ("{main,release-{1,2}}", vec!["main", "release-2"], vec!["release-3", "main,x"]),
            ("[ab]x", vec!["ax", "bx"], vec!["cx", "abx"]),
            ("[!ab]x", vec!["cx"], vec!["ax"]),
            ("[a-c]", vec!["b"], vec!["d", "-"]),
            ("a.b+c(d)", vec!["a.b+c(d)"], vec!["axb+c(d)"]),
            (r"a\*", vec!["a*"], vec!["ab"]),
            ("a,b}", vec!["a,b}"], vec!["a"]),
            ("", vec![""], vec!["a"]),
            ("ü*", vec!["üb", "ü\n"], vec!["u"]),
        ] {
            let glob = Glob::new(pattern).unwrap();
            yes.iter().for_each(|text| assert!(glob.matches(text), "{pattern} {text}"));
            no.iter().for_each(|text| assert!(!glob.matches(text), "{pattern} {text}"));
        }
    }

    #[test]
    fn a_pattern_that_can_not_be_read_says_why() {
        for bad in ["[", "[a", "[!", "{a", "a\\", "[z-a]", &"{".repeat(9), &"a".repeat(1_001)] {
            assert!(Glob::new(bad).is_err(), "{bad}");
        }
    }
}
