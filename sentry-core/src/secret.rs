//! Secrets: held so that they can't be printed, and taken out of any text that might repeat them.

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

/// Takes known secrets out of texts, in their plain, URL-encoded and base64 forms. Clones share what they know.
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
        let mut clean = text.to_owned();
        for form in forms.iter() {
            if clean.contains(form.as_str()) {
                clean = clean.replace(form.as_str(), "[redacted]");
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

/// The forms in which a secret reaches a log: itself, URL-encoded, and base64 alone or as HTTP basic auth,
/// at each of the three alignments that base64 can put it in.
fn encoded_forms(plain: &str) -> Vec<String> {
    let url: String = url::form_urlencoded::byte_serialize(plain.as_bytes()).collect();
    let percent = url.replace('+', "%20");
    let mut forms =
        vec![plain.to_owned(), lower_escapes(&url), lower_escapes(&percent), url, percent];
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
            if end > start + SHORTEST {
                forms.push(text[start..end].to_owned());
            }
        }
    }
    forms.retain(|form| form.len() >= SHORTEST);
    forms
}

/// A URL-encoded text with the digits of its escapes in lower case, as some programs write them.
fn lower_escapes(url: &str) -> String {
    let mut pieces = url.split('%');
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |text, piece| {
        let (digits, rest) = piece.split_at(piece.len().min(2));
        format!("{text}%{}{rest}", digits.to_ascii_lowercase())
    })
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
