//! Secrets: held so that they can't be printed, and taken out of any text that might repeat them.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, RwLock};

use base64::Engine as _;
use secrecy::{ExposeSecret, SecretString};

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
/// in part. Clones share what they know.
#[derive(Clone, Default)]
pub struct Redactor {
    forms: Arc<RwLock<Vec<String>>>,
}

/// Secrets shorter than this are not looked for: taking them out would make every text unreadable.
const SHORTEST: usize = 6;

impl Redactor {
    /// One that knows nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Learns a secret: from now on it is taken out of every text.
    pub fn learn(&self, secret: &Secret) {
        let plain = secret.expose();
        if plain.len() < SHORTEST {
            return;
        }
        let mut forms = self.forms.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        if forms.iter().any(|known| known == plain) {
            return;
        }
        forms.extend(encoded_forms(plain));
        // The longest first, so that no form is cut by a shorter one inside it.
        forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
        forms.dedup();
    }

    /// The text with every known secret replaced by `[redacted]`.
    #[must_use]
    pub fn redact(&self, text: &str) -> String {
        let forms = self.forms.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let is_escaped = text.contains(['%', '\\', '+']);
        if !is_escaped && !forms.iter().any(|form| text.contains(form.as_str())) {
            return text.to_owned();
        }
        let starts: BTreeSet<u8> = forms.iter().filter_map(|form| form.bytes().next()).collect();
        let may_start = |byte: u8| matches!(byte, b'%' | b'\\' | b'+') || starts.contains(&byte);
        let (mut clean, mut rest) = (String::with_capacity(text.len()), text);
        while let Some(first) = rest.chars().next() {
            let here = rest.bytes().next().is_some_and(may_start);
            match forms.iter().filter(|_| here).find_map(|form| begins(rest, form)) {
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

/// How long the form is that a text begins with, whichever of its characters are escaped.
fn begins(text: &str, form: &str) -> Option<usize> {
    if text.starts_with(form) {
        return Some(form.len());
    }
    let (mut rest, mut in_slashes) = (text, false);
    for wanted in form.chars() {
        rest = if wanted == '\\' {
            let after = after_slash(rest, in_slashes)?;
            in_slashes = true;
            after
        } else {
            let after = after(rest, wanted, in_slashes)?;
            in_slashes = false;
            after
        };
    }
    Some(text.len() - rest.len())
}

/// What follows a backslash: escaped it is two, escaped again four. All that stand together are taken for it, also those
/// that belong to the next character.
fn after_slash(text: &str, in_slashes: bool) -> Option<&str> {
    let encoded = after_percent(text, '\\').or_else(|| after_escape(text, '\\', false));
    let run = text.trim_start_matches('\\');
    encoded.or_else(|| (in_slashes || run.len() < text.len()).then_some(run))
}

/// What follows another character that is percent-encoded, escaped as in JSON, or as it is.
fn after(text: &str, wanted: char, in_slashes: bool) -> Option<&str> {
    after_percent(text, wanted)
        .or_else(|| after_escape(text, wanted, in_slashes))
        .or_else(|| text.strip_prefix(wanted))
        .or_else(|| text.strip_prefix('+').filter(|_| wanted == ' '))
}

fn after_percent(text: &str, wanted: char) -> Option<&str> {
    wanted.encode_utf8(&mut [0; 4]).bytes().try_fold(text, |text, byte| {
        let rest = text.strip_prefix('%')?;
        is_hex(rest.get(..2)?, byte.into()).then(|| &rest[2..])
    })
}

/// `\/`, `\u002f`, `\n`. A text that was escaped twice has more backslashes; they may have been taken already.
fn after_escape(text: &str, wanted: char, in_slashes: bool) -> Option<&str> {
    let rest = text.trim_start_matches('\\');
    if rest.len() == text.len() && !in_slashes {
        return None;
    }
    let letter = match wanted {
        '\n' => 'n',
        '\r' => 'r',
        '\t' => 't',
        other => other,
    };
    let is_short = letter != wanted || wanted.is_ascii_punctuation();
    let short = rest.strip_prefix(letter).filter(|_| is_short);
    short.or_else(|| after_unicode(rest, wanted))
}

/// `u002f`, or two of them with a backslash between.
fn after_unicode(text: &str, wanted: char) -> Option<&str> {
    wanted.encode_utf16(&mut [0; 2]).iter().try_fold(text, |text, unit| {
        let rest = text.trim_start_matches('\\').strip_prefix('u')?;
        is_hex(rest.get(..4)?, *unit).then(|| &rest[4..])
    })
}

/// True for these digits, in either case.
fn is_hex(digits: &str, wanted: u16) -> bool {
    u16::from_str_radix(digits, 16) == Ok(wanted) && !digits.starts_with('+')
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
