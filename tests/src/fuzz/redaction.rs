//! A secret in every encoding, inside any text: no form of it is left.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use sentry_core::secret::{Redactor, Secret};

/// True if a form is in what the redactor let through; its mark may make one with a neighbour, which tells nothing.
fn is_left(clean: &str, form: &str) -> bool {
    clean.split("[redacted]").any(|piece| piece.contains(form))
}

/// Judges one input; bytes that are no text are replaced.
///
/// # Panics
/// If the judge finds against Sentry.
pub fn redaction(bytes: &[u8]) {
    let text = &*String::from_utf8_lossy(bytes);
    let (secret, around) = text.split_once('\n').unwrap_or((text, ""));
    // Shorter ones are not looked for, by decision; a mark of the redactor's own can't be told from a secret.
    if secret.len() < 6 || "[redacted]".contains(secret) {
        return;
    }
    let redactor = Redactor::new();
    redactor.learn(&Secret::new(secret));
    let url: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let percent: String = url.replace('+', "%20");
    for form in [secret.to_owned(), url, percent] {
        let clean = redactor.redact(&format!("{around}{form}{around}"));
        assert!(!is_left(&clean, &form), "{form:?} is left in {clean:?}");
    }
    for lead in ["", "x", "xy"] {
        for encoded in [
            STANDARD.encode(format!("{lead}{secret}{around}")),
            URL_SAFE_NO_PAD.encode(format!("{lead}{secret}")),
        ] {
            let clean = redactor.redact(&encoded);
            // Ten digits hold seven bytes: so much of a secret is never left.
            let certain = (lead.len() * 8).div_ceil(6)..(lead.len() + secret.len()) * 8 / 6;
            let core = &encoded[certain];
            assert!(core.len() <= 6 || !is_left(&clean, core), "{core:?} is left in {clean:?}");
        }
    }
}
