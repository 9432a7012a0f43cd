//! Secrets: held so that they can't be printed, and taken out of any text that might repeat them.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, RwLock};

mod given;
mod source;

use base64::Engine as _;
use secrecy::{ExposeSecret, SecretString};

pub use given::{FileError, Form, Oddity, without_margins};
pub use source::{SecretSource, SourceError};

/// A token, password or key. Its `Debug` prints no part of it; memory is wiped when it is dropped.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Wraps a secret text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(SecretString::from(text.into()))
    }

    /// The secret itself: for the one place that sends it, never for a message.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// Takes known secrets out of texts: plain and in base64, each as it is, percent-encoded or escaped as in JSON, wholly or
/// in part. Clones share what they know. What a text costs hardly depends on how many secrets are known.
#[derive(Clone, Default)]
pub struct Redactor {
    forms: Arc<RwLock<Forms>>,
}

/// Secrets shorter than this are not looked for: taking them out would make every text unreadable.
const SHORTEST: usize = 6;

impl Redactor {
    /// One that knows nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Learns a secret: from now on it is taken out of every text. It is never forgotten: one that was rotated or lent may
    /// still work, and still turn up.
    pub fn learn(&self, secret: &Secret) {
        let plain = secret.expose();
        if plain.len() < SHORTEST {
            return;
        }
        let mut forms = self.forms.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        if !forms.holds(plain) {
            forms.add(encoded_forms(plain));
        }
    }

    /// The text with every known secret replaced by `[redacted]`.
    #[must_use]
    pub fn redact(&self, text: &str) -> String {
        let forms = self.forms.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (mut clean, mut rest) = (String::with_capacity(text.len()), text);
        while let Some(first) = rest.chars().next() {
            match forms.longest_at(rest) {
                Some(length) => {
                    clean.push_str("[redacted]");
                    rest = &rest[length..];
                }
                None => {
                    clean.push(first);
                    rest = &rest[first.len_utf8()..];
                }
            }
        }
        clean
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redactor")
    }
}

/// The forms in which a secret reaches a log, before anything is escaped: itself, and base64 alone or as HTTP basic auth,
/// at each of the three alignments that base64 can put it in.
fn encoded_forms(plain: &str) -> Vec<String> {
    let mut forms = vec![plain.to_owned()];
    for engine in [
        base64::engine::general_purpose::STANDARD_NO_PAD,
        base64::engine::general_purpose::URL_SAFE_NO_PAD,
    ] {
        for lead in 0..3usize {
            let mut bytes = vec![0u8; lead];
            bytes.extend_from_slice(plain.as_bytes());
            let text = engine.encode(&bytes);
            // Digits that also depend on neighbours are left out; what stands between is certain.
            let start = (lead * 8).div_ceil(6);
            let end = bytes.len() * 8 / 6;
            forms.push(text[start..end].to_owned());
        }
    }
    forms
}

/// What is looked for, sorted: those that begin alike stand together, so that one walk through a text follows all of them.
#[derive(Default)]
struct Forms(Vec<Box<str>>);

/// How far a walk has come: the forms that fit so far, and how many of their bytes; what is left of the text.
struct Walk<'t> {
    fitting: Range<usize>,
    bytes: usize,
    rest: &'t str,
    in_slashes: bool,
}

impl Forms {
    fn holds(&self, form: &str) -> bool {
        self.0.binary_search_by(|known| (**known).cmp(form)).is_ok()
    }

    fn add(&mut self, forms: Vec<String>) {
        for form in forms {
            if let Err(place) = self.0.binary_search_by(|known| (**known).cmp(&form)) {
                self.0.insert(place, form.into());
            }
        }
    }

    /// How long the longest form is that a text begins with, whichever of its characters are escaped.
    fn longest_at(&self, text: &str) -> Option<usize> {
        let all = 0..self.0.len();
        let mut walks = vec![Walk { fitting: all, bytes: 0, rest: text, in_slashes: false }];
        let mut longest = None;
        while let Some(walk) = walks.pop() {
            let first = self.0.get(walk.fitting.start);
            if first.is_some_and(|form| form.len() == walk.bytes) {
                longest = longest.max(Some(text.len() - walk.rest.len()));
            }
            for (character, rest) in next(walk.rest, walk.in_slashes) {
                let fitting = self.with(&walk, character);
                if !fitting.is_empty() {
                    let bytes = walk.bytes + character.len_utf8();
                    walks.push(Walk { fitting, bytes, rest, in_slashes: character == '\\' });
                }
            }
        }
        longest
    }

    /// Those of a walk's forms that go on with this character.
    fn with(&self, walk: &Walk<'_>, character: char) -> Range<usize> {
        let mut buffer = [0; 4];
        let wanted = character.encode_utf8(&mut buffer).as_bytes();
        let fitting = &self.0[walk.fitting.clone()];
        let before = fitting.partition_point(|form| form.as_bytes()[walk.bytes..] < *wanted);
        let these = fitting[before..]
            .partition_point(|form| form.as_bytes()[walk.bytes..].starts_with(wanted));
        let start = walk.fitting.start + before;
        start..start + these
    }
}

/// Each character that a text may begin with, escaped or not, and what follows it then. None is named twice: what an escape
/// says comes before what it looks like.
fn next(text: &str, in_slashes: bool) -> impl Iterator<Item = (char, &str)> {
    let plain = text.chars().next();
    let slash = after_slash(text, in_slashes).map(|rest| ('\\', rest));
    let space = text.strip_prefix('+').map(|rest| (' ', rest));
    let plain = plain.map(|c| (c, &text[c.len_utf8()..]));
    let all = [slash, percent(text), escape(text, in_slashes), plain, space];
    (0..all.len()).filter_map(move |place| {
        let this = all[place]?;
        let is_known = all[..place].iter().flatten().any(|(known, _)| *known == this.0);
        (!is_known).then_some(this)
    })
}

/// What follows a backslash: escaped it is two, escaped again four. All that stand together are taken for it, also those
/// that belong to the next character.
fn after_slash(text: &str, in_slashes: bool) -> Option<&str> {
    let is_slash = |(character, rest)| (character == '\\').then_some(rest);
    let encoded = percent(text).and_then(is_slash);
    let encoded = encoded.or_else(|| unicode_escape(text, false).and_then(is_slash));
    let run = text.trim_start_matches('\\');
    encoded.or_else(|| (in_slashes || run.len() < text.len()).then_some(run))
}

/// A character that is percent-encoded, byte by byte.
fn percent(text: &str) -> Option<(char, &str)> {
    let byte = |at: usize| {
        let digits = text.get(at..)?.strip_prefix('%')?.get(..2)?;
        u8::try_from(hex(digits)?).ok()
    };
    let mut bytes = Vec::with_capacity(4);
    for place in 0..4 {
        bytes.push(byte(3 * place)?);
        if let Ok(character) = std::str::from_utf8(&bytes) {
            return Some((character.chars().next()?, &text[3 * bytes.len()..]));
        }
    }
    None
}

/// `\/`, `\u002f`, `\n`. A text that was escaped twice has more backslashes; they may have been taken already.
fn escape(text: &str, in_slashes: bool) -> Option<(char, &str)> {
    let rest = text.trim_start_matches('\\');
    if rest.len() == text.len() && !in_slashes {
        return None;
    }
    let short = match rest.chars().next()? {
        'n' => Some('\n'),
        'r' => Some('\r'),
        't' => Some('\t'),
        other => other.is_ascii_punctuation().then_some(other),
    };
    short.map(|character| (character, &rest[1..])).or_else(|| unicode_escape(text, in_slashes))
}

/// `\u002f`, or two of them for one character.
fn unicode_escape(text: &str, in_slashes: bool) -> Option<(char, &str)> {
    let rest = text.trim_start_matches('\\');
    if rest.len() == text.len() && !in_slashes {
        return None;
    }
    let (first, rest) = unit(rest)?;
    if let Some(character) = char::from_u32(first.into()) {
        return Some((character, rest));
    }
    let (second, rest) = unit(rest)?;
    let character = char::decode_utf16([first, second]).next()?.ok()?;
    Some((character, rest))
}

fn unit(text: &str) -> Option<(u16, &str)> {
    let rest = text.trim_start_matches('\\').strip_prefix('u')?;
    Some((hex(rest.get(..4)?)?, &rest[4..]))
}

/// The number that digits of either case stand for.
fn hex(digits: &str) -> Option<u16> {
    let is_number = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    is_number.then(|| u16::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "glpat-c4n/ry+T0ken==xyz";

    fn redactor() -> Redactor {
        let redactor = Redactor::new();
        redactor.learn(&Secret::new(TOKEN));
        redactor
    }

    #[test]
    fn a_secret_is_taken_out_in_every_form_a_log_may_hold() {
        let b64 = base64::engine::general_purpose::STANDARD;
        let url: String = url::form_urlencoded::byte_serialize(TOKEN.as_bytes()).collect();
        for text in [
            format!("plain {TOKEN} here"),
            format!("https://oauth2:{url}@host/x"),
            format!(
                "lower {}",
                url.replace("%2F", "%2f").replace("%2B", "%2b").replace("%3D", "%3d")
            ),
            format!("Authorization: Basic {}", b64.encode(format!("x-access-token:{TOKEN}"))),
            format!("Basic {}", b64.encode(format!("oauth2:{TOKEN}"))),
            format!("Basic {}", b64.encode(TOKEN)),
            format!("Basic {}", b64.encode(format!("ab:{TOKEN}\n"))),
        ] {
            let clean = redactor().redact(&text);
            assert!(clean.contains("[redacted]"), "{text} -> {clean}");
            assert!(!clean.contains("c4n") && !clean.contains("T0ken"), "{clean}");
        }
    }

    #[test]
    fn the_shortest_secret_that_is_looked_for_is_taken_out_at_every_alignment() {
        let b64 = base64::engine::general_purpose::STANDARD;
        let r = Redactor::new();
        r.learn(&Secret::new("s3cret"));
        assert_eq!(r.redact("a s3cret b"), "a [redacted] b");
        for lead in ["", "x", "xy"] {
            let clean = r.redact(&b64.encode(format!("{lead}s3cret")));
            assert!(clean.contains("[redacted]"), "{lead}: {clean}");
        }
        // It is URL-safe where the other alphabet would differ.
        r.learn(&Secret::new("??>>~~"));
        assert_eq!(r.redact("Pz8-Pn5-"), "[redacted]");
    }

    #[test]
    fn a_secret_is_taken_out_however_its_characters_are_escaped() {
        let r = Redactor::new();
        let secret = "p\"a/s\\s+w ö&=1";
        r.learn(&Secret::new(secret));
        let json = serde_json::to_string(secret).unwrap();
        let inner = json.trim_matches('"');
        let twice = serde_json::to_string(&json).unwrap();
        for text in [
            inner,
            &twice[3..twice.len() - 3],
            "p\\\"a\\/s\\\\s+w ö&=1",
            "p\\u0022a\\u002Fs\\u005cs\\u002bw\\u0020\\u00f6\\u0026\\u003d1",
            "p%22a/s%5Cs+w%20%C3%B6&=1",
            "p%22a%2fs%5cs%2bw+%c3%b6%26%3D1",
        ] {
            assert_eq!(r.redact(&format!("a {text} b")), "a [redacted] b", "{text}");
        }
        let b64 = base64::engine::general_purpose::STANDARD.encode("git:??>>~~??>>~~/+/+");
        let url: String = url::form_urlencoded::byte_serialize(b64.as_bytes()).collect();
        r.learn(&Secret::new("??>>~~??>>~~/+/+"));
        for text in [b64.replace('/', "\\/"), url] {
            let clean = r.redact(&text);
            assert!(clean.contains("[redacted]") && !clean.contains("Pz8"), "{text}: {clean}");
        }
    }

    #[test]
    fn characters_of_every_length_are_found_percent_encoded() {
        for secret in ["pass-wort", "påss-wört", "p€ss-w→rt", "p🔑ss-w🔒rt"] {
            let r = Redactor::new();
            r.learn(&Secret::new(secret));
            let encoded: String = secret.bytes().map(|byte| format!("%{byte:02X}")).collect();
            assert_eq!(r.redact(&format!("a {encoded} b")), "a [redacted] b", "{secret}");
        }
    }

    #[test]
    fn lines_and_backslashes_of_a_secret_are_found_however_they_are_escaped() {
        for secret in ["line-one\nline\ttwo\r\n", "back\\slash-\\\nand-line", "\\\\host\\share-1"] {
            let r = Redactor::new();
            r.learn(&Secret::new(secret));
            let once = serde_json::to_string(secret).unwrap();
            let twice = serde_json::to_string(&once).unwrap();
            for text in [secret, once.trim_matches('"'), &twice[3..twice.len() - 3]] {
                assert_eq!(r.redact(&format!("a {text} b")), "a [redacted] b", "{secret:?}");
            }
        }
    }

    #[test]
    fn what_only_looks_like_an_escaped_secret_stays() {
        let r = Redactor::new();
        for secret in ["pass\\word-12345", "line-one\nline-two", "t0k/n+secret"] {
            r.learn(&Secret::new(secret));
        }
        for text in [
            // A backslash, a new line and a slash that are not there.
            "password-12345",
            "line-onenline-two",
            "line-oneu000aline-two",
            "t0ku002fn+secret",
            // Other characters of the same length.
            "t0k%2Dn+secret",
            "t0k\\u002dn+secret",
            "t0k%+fn+secret",
            "line-one\\rline-two",
        ] {
            // Only a text with something escaped is looked through for it.
            let text = format!("\\ {text}");
            assert_eq!(r.redact(&text), text);
        }
    }

    #[test]
    fn every_secret_that_was_learned_is_taken_out_the_longest_form_first() {
        let r = Redactor::new();
        for secret in ["first-one", "second-one", "second-one-and-more", "first-one"] {
            r.learn(&Secret::new(secret));
        }
        let clean = r.redact("first-one second-one-and-more second-one");
        assert_eq!(clean, "[redacted] [redacted] [redacted]");
    }

    #[test]
    fn a_secret_is_found_among_thousands_that_begin_and_end_alike() {
        let r = Redactor::new();
        let secret = |n: u32| format!("ghs_{n:05}/same-end");
        (0..5_000).for_each(|n| r.learn(&Secret::new(secret(n))));
        for n in (0..5_000).step_by(499) {
            let encoded = secret(n).replace('/', "%2F").replace('-', "\\u002d");
            assert_eq!(
                r.redact(&format!("a {} b {encoded}", secret(n))),
                "a [redacted] b [redacted]"
            );
        }
        let other = "ghs_05000/same-end, ghs_0499/same-end and %67hs_";
        assert_eq!(r.redact(other), other);
    }

    #[test]
    fn other_text_stays_and_short_secrets_are_not_looked_for() {
        let r = redactor();
        r.learn(&Secret::new("abc"));
        assert_eq!(r.redact("abc def"), "abc def");
    }

    #[test]
    fn debug_prints_no_part_of_a_secret() {
        assert_eq!(format!("{:?}", Secret::new(TOKEN)), "[secret]");
        assert_eq!(format!("{:?}", redactor()), "Redactor");
    }
}
