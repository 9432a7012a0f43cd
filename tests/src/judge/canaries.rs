//! Secrets that are recognised wherever they turn up, whole or in part, however they are written.
//!
//! The search decodes what a text holds, again and again, and looks for pieces of the secrets in all of it. It shares
//! nothing with what takes secrets out, which looks for their encoded forms.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, Engine};
use sha2::{Digest as _, Sha256};

/// So many bytes of a secret in a row are a find.
const PIECE: usize = 10;
/// Shorter words can't hold a piece in base64.
const WORD: usize = 14;

/// A secret, the same for the same name, of characters that change in every encoding.
pub fn canary(name: &str) -> String {
    let digits: String = Sha256::digest(name).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("cAn{}/+{}\"=\\{}%2F&z", &digits[..6], &digits[6..16], &digits[16..24])
}

/// A secret of characters that a URL's password, a shell and every header take as they are, but for the first two.
pub fn plain_canary(name: &str) -> String {
    canary(name).replace(['"', '\\', '%', '&'], "-")
}

/// The secrets of which a text holds a piece, each with what stands around it.
pub fn found<'c>(text: &str, canaries: &[&'c str]) -> Vec<(&'c str, String)> {
    let mut pieces = HashMap::new();
    let mut begins = vec![false; 1 << 16];
    for canary in canaries {
        for piece in canary.as_bytes().windows(PIECE) {
            begins[pair(piece)] = true;
            pieces.insert(piece, *canary);
        }
    }
    let mut finds = BTreeMap::new();
    for view in views(text) {
        let windows = view.windows(PIECE).enumerate().filter(|(_, window)| begins[pair(window)]);
        for (at, window) in windows {
            let Some(canary) = pieces.get(window) else { continue };
            let near = &view[at.saturating_sub(30)..(at + 40).min(view.len())];
            finds.entry(*canary).or_insert_with(|| near.escape_ascii().to_string());
        }
    }
    finds.into_iter().collect()
}

/// The first two bytes as a number: what does not begin like a piece is none.
fn pair(bytes: &[u8]) -> usize {
    usize::from(bytes[0]) << 8 | usize::from(bytes[1])
}

/// A text as it is and as everybody might decode it.
fn views(text: &str) -> BTreeSet<Vec<u8>> {
    let mut views = BTreeSet::from([text.as_bytes().to_vec()]);
    for _ in 0..2 {
        let decoded: Vec<_> =
            views.iter().flat_map(|view| [percent(view), escapes(view)]).collect();
        views.extend(decoded);
    }
    let words: Vec<u8> = views.iter().flat_map(|view| base64_words(view)).collect();
    views.insert(words);
    views
}

fn hex(digits: &[u8]) -> Option<u32> {
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

fn percent(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let byte = (text[at] == b'%').then(|| text.get(at + 1..at + 3).and_then(hex)).flatten();
        out.push(byte.and_then(|byte| u8::try_from(byte).ok()).unwrap_or(text[at]));
        at += if byte.is_some() { 3 } else { 1 };
    }
    out
}

/// Backslashes of JSON and of other languages.
fn escapes(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        if text[at] != b'\\' || at + 1 == text.len() {
            out.push(text[at]);
            at += 1;
        } else if let Some(code) =
            text.get(at + 2..at + 6).filter(|_| text[at + 1] == b'u').and_then(hex)
        {
            let character = char::from_u32(code).unwrap_or('?');
            out.extend(character.to_string().into_bytes());
            at += 6;
        } else {
            out.push(text[at + 1]);
            at += 2;
        }
    }
    out
}

/// What the words of a text are in base64, whichever of their digits is the first.
fn base64_words(text: &[u8]) -> Vec<u8> {
    let config = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(true);
    let engine = GeneralPurpose::new(&alphabet::STANDARD, config);
    let digit = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/-_".contains(byte);
    let mut out = Vec::new();
    for word in text.split(|byte| !digit(byte)).filter(|word| word.len() >= WORD) {
        let word: Vec<u8> = word
            .iter()
            .map(|byte| match byte {
                b'-' => b'+',
                b'_' => b'/',
                other => *other,
            })
            .collect();
        for from in 0..4 {
            let digits = &word[from..];
            // One digit too many makes no byte.
            let digits = &digits[..digits.len() - usize::from(digits.len() % 4 == 1)];
            out.extend(engine.decode(digits).unwrap_or_default());
            out.push(b'\n');
        }
    }
    out
}

/// Ways to write a secret, each with its name: how a server, git or kubectl may repeat it.
pub fn ways_to_write(secret: &str) -> Vec<(&'static str, String)> {
    let all = |form: fn(u8) -> String| secret.bytes().map(form).collect::<String>();
    let special = |form: fn(u8) -> String| -> String {
        let one = |byte: u8| {
            if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { form(byte) }
        };
        secret.bytes().map(one).collect()
    };
    let json = serde_json::Value::from(secret).to_string();
    let twice = serde_json::Value::from(json.as_str()).to_string();
    let slashes = json.replace('/', "\\/");
    let mut ways = vec![
        ("plain", secret.to_owned()),
        ("percent, upper case", special(|byte| format!("%{byte:02X}"))),
        ("percent, lower case", special(|byte| format!("%{byte:02x}"))),
        ("percent, all", all(|byte| format!("%{byte:02X}"))),
        ("percent, but for slashes", special(|byte| format!("%{byte:02X}")).replace("%2F", "/")),
        ("JSON", json.trim_matches('"').to_owned()),
        ("JSON with its quotes", json.clone()),
        ("JSON with slashes escaped", slashes),
        ("JSON in JSON", twice),
        ("JSON, unicode", special(|byte| format!("\\u{byte:04x}"))),
        ("JSON, unicode, upper case", special(|byte| format!("\\u{byte:04X}"))),
        ("JSON, all unicode", all(|byte| format!("\\u{byte:04x}"))),
        ("debug", format!("{secret:?}")),
    ];
    for user in ["", ":", "x:", "git:", "oauth2:", "x-access-token:", "private-token:", "user:"] {
        let text = format!("{user}{secret}");
        let standard = STANDARD.encode(&text);
        ways.extend([
            (
                "base64 in a URL",
                standard.replace('+', "%2B").replace('/', "%2f").replace('=', "%3D"),
            ),
            ("base64 in JSON", standard.replace('/', "\\/")),
            ("base64", standard),
            ("base64, the URL's", URL_SAFE.encode(&text)),
            ("base64 of a line", STANDARD.encode(format!("{text}\n"))),
        ]);
    }
    ways
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_write_a_secret_is_found_and_so_is_a_half_of_the_plain_one() {
        for secret in [canary("a"), plain_canary("a")] {
            for (way, text) in ways_to_write(&secret) {
                let text = format!("fatal: the server said '{text}'.");
                assert!(!found(&text, &[&secret]).is_empty(), "{way}: {text}");
            }
            let half = format!("…{}…", &secret[..secret.len() / 2]);
            assert!(!found(&half, &[&secret]).is_empty());
            assert!(found(&half, &[&canary("b")]).is_empty());
        }
    }

    #[test]
    fn a_text_without_secrets_holds_none() {
        let secret = canary("a");
        let text = "Authorization: Basic [redacted] %2F \\u002f {\"a\": \"b\\\\c\"} aGVsbG8gd29ybGQgaGVsbG8=";
        assert_eq!(found(text, &[&secret]), []);
    }
}
