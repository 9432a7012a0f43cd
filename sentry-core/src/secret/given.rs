//! Secrets as people hand them over: copied from a page, saved by an editor, exported by a shell. What no secret begins
//! or ends with is taken away, any other slip is named by character and place, and the text itself is never repeated.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use super::Secret;
use crate::text::is_hidden;

/// The largest file that is read, in bytes: a key in PEM has about 3 KiB.
const LARGEST: u64 = 64 << 10;
/// What tools write before a token, in any case.
const SCHEMES: [&str; 3] = ["bearer ", "basic ", "token "];
/// What stands for a secret that was not filled in: in lower case, words joined by dashes.
const STAND_INS: [&str; 13] = [
    "change-me",
    "changeme",
    "replace-me",
    "replaceme",
    "to-be-filled-in",
    "todo",
    "your-token",
    "your-token-here",
    "your-secret",
    "your-secret-here",
    "placeholder",
    "null",
    "undefined",
];
/// Words by which the name before a `=` is a variable's.
const NAMES: [&str; 5] = ["token", "secret", "password", "key", "pat"];

/// What a secret looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One word: a token, a password, an address.
    Word,
    /// Lines of text: a private key in PEM.
    Lines,
}

/// Why a text is not the secret that was meant: a clause that names what is wrong with it and never repeats it. A person
/// must act; a file may be repaired while the program runs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Oddity {
    /// There is nothing but white space and invisible characters.
    #[error("is empty")]
    Empty,
    /// It is longer than any secret.
    #[error("is larger than 64 KiB")]
    TooLarge,
    /// Editors and shells of Windows write it by default.
    #[error("is UTF-16 text")]
    Utf16,
    /// It can't be text.
    #[error("is not UTF-8 text: byte 0x{byte:02x} at position {at}")]
    NotText {
        /// The first byte that does not fit.
        byte: u8,
        /// Its place, from 1.
        at: usize,
    },
    /// A character that none can have there.
    #[error("contains {} at character {at}", name(*.character))]
    Character {
        /// It.
        character: char,
        /// Its place in the whole text, from 1.
        at: usize,
    },
    /// Quotation marks are for shells and YAML.
    #[error("is in quotation marks: {} at character {at}", name(*.mark))]
    Quoted {
        /// The first mark.
        mark: char,
        /// Its place in the whole text, from 1.
        at: usize,
    },
    /// The name of an authentication scheme comes first.
    #[error("begins with the word `{0}`")]
    Scheme(&'static str),
    /// The name of a variable comes first.
    #[error("is a NAME=value line")]
    Assignment,
    /// What a person was to replace.
    #[error("is a placeholder")]
    Placeholder,
}

impl Oddity {
    /// What a person can do.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Empty => "write the secret itself, and nothing else",
            Self::TooLarge => "name a file that holds only the secret",
            Self::Utf16 | Self::NotText { .. } => "save it as UTF-8, or plain ASCII",
            Self::Character { .. } => "copy it again: it must be one word",
            Self::Quoted { .. } => {
                "remove the quotation marks: files and `docker --env-file` keep them"
            }
            Self::Scheme(_) => "write only the token: the scheme is added to it",
            Self::Assignment => "write only the value, without NAME=",
            Self::Placeholder => "replace it with the real one",
        }
    }
}

/// Why a file gives no secret. The text names the file.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It is not there, or this account may not read it.
    #[error("can't be read")]
    Read(#[from] io::Error),
    /// What it holds is no secret.
    #[error("{0}")]
    Odd(#[from] Oddity),
}

impl FileError {
    /// What a person can do.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Read(_) => "check that the file exists and that this account may read it",
            Self::Odd(oddity) => oddity.hint(),
        }
    }
}

impl Secret {
    /// The secret that a text was meant to be: without a byte order mark, white space and invisible characters around it.
    ///
    /// # Errors
    /// [`Oddity`] if it can't be one.
    pub fn given(text: &str, form: Form) -> Result<Self, Oddity> {
        let inner = without_margins(text);
        if inner.is_empty() {
            return Err(Oddity::Empty);
        }
        let before = text.find(inner).map_or(0, |start| text[..start].chars().count());
        match form {
            Form::Word => word(inner, before)?,
            Form::Lines => lines(inner, before)?,
        }
        Ok(Self::new(inner))
    }

    /// The secret in a file, as [`Secret::given`]. The file may be replaced at any time: read it for each use.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn in_file(path: &Path, form: Form) -> Result<Self, FileError> {
        let mut bytes = Vec::new();
        File::open(path)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
        Ok(Self::given(text(&bytes)?, form)?)
    }
}

/// What a file holds, as text.
fn text(bytes: &[u8]) -> Result<&str, Oddity> {
    if bytes.len() as u64 > LARGEST {
        return Err(Oddity::TooLarge);
    }
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(Oddity::Utf16);
    }
    std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        Oddity::NotText { byte: bytes.get(at).copied().unwrap_or_default(), at: at + 1 }
    })
}

/// The text without what is not seen at its ends: no secret begins or ends with it.
#[must_use]
pub fn without_margins(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || (is_hidden(c) && !c.is_control()))
}

/// A word's slips, the most telling first. `before` characters were taken away in front of it.
fn word(text: &str, before: usize) -> Result<(), Oddity> {
    let is_mark = |c: &char| QUOTES.contains(c);
    let marks = [text.chars().next().filter(is_mark), text.chars().next_back().filter(is_mark)];
    match marks {
        [Some(mark), _] => return Err(Oddity::Quoted { mark, at: before + 1 }),
        [None, Some(mark)] => {
            return Err(Oddity::Quoted { mark, at: before + text.chars().count() });
        }
        [None, None] => {}
    }
    let lower = text.to_lowercase();
    if let Some(scheme) = SCHEMES.iter().find(|scheme| lower.starts_with(*scheme)) {
        return Err(Oddity::Scheme(scheme.trim_end()));
    }
    if is_assignment(&lower) {
        return Err(Oddity::Assignment);
    }
    if is_placeholder(&lower) {
        return Err(Oddity::Placeholder);
    }
    let odd = |c: char| c.is_whitespace() || is_hidden(c) || c == char::REPLACEMENT_CHARACTER;
    first(text, before, odd)
}

/// Quotation marks: straight ones, and those that word processors make of them.
const QUOTES: [char; 10] = [
    '"', '\'', '`', '\u{201c}', '\u{201d}', '\u{201e}', '\u{2018}', '\u{2019}', '\u{ab}', '\u{bb}',
];

/// A key's lines: any text without what is not seen.
fn lines(text: &str, before: usize) -> Result<(), Oddity> {
    let odd = |c: char| {
        is_hidden(c) && !matches!(c, '\n' | '\r' | '\t') || (c.is_whitespace() && !c.is_ascii())
    };
    first(text, before, odd)
}

fn first(text: &str, before: usize, odd: impl Fn(char) -> bool) -> Result<(), Oddity> {
    match text.chars().enumerate().find(|(_, c)| odd(*c)) {
        Some((n, character)) => Err(Oddity::Character { character, at: before + n + 1 }),
        None => Ok(()),
    }
}

/// `GITHUB_TOKEN=…`, `export X_KEY=…`: base64 has a `=` at its end only.
fn is_assignment(lower: &str) -> bool {
    let Some((name, value)) = lower.split_once('=') else { return false };
    let name = name.strip_prefix("export ").unwrap_or(name).trim();
    let is_name = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let mut words = name.split('_');
    is_name && !value.trim_matches('=').is_empty() && words.any(|word| NAMES.contains(&word))
}

fn is_placeholder(lower: &str) -> bool {
    let brackets = [("<", ">"), ("${", "}"), ("$(", ")"), ("{{", "}}"), ("[", "]")];
    let mut chars = lower.chars();
    let start = chars.next();
    brackets.iter().any(|(open, close)| lower.starts_with(open) && lower.ends_with(close))
        || STAND_INS.contains(&lower.replace('_', "-").as_str())
        || (lower.len() > 2
            && matches!(start, Some('x' | '*' | '.' | '-'))
            && chars.all(|c| Some(c) == start))
}

/// A character's code point, with the name of those that are met most.
fn name(c: char) -> String {
    let known = match c {
        '\t' => " (tab)",
        '\n' => " (line break)",
        '\r' => " (carriage return)",
        ' ' => " (space)",
        '"' | '\'' | '`' => " (quotation mark)",
        '\u{a0}' => " (no-break space)",
        '\u{ad}' => " (soft hyphen)",
        '\u{200b}' => " (zero width space)",
        '\u{feff}' => " (byte order mark)",
        '\u{fffd}' => " (replacement character)",
        _ => "",
    };
    format!("U+{:04X}{known}", u32::from(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "ghp_16C7e42F292c6912E7710c838347Ae178B4a";
    /// What is not seen: white space and characters without a width.
    const UNSEEN: &[char] = &[
        '\n', '\r', '\t', ' ', '\u{a0}', '\u{ad}', '\u{200b}', '\u{200e}', '\u{2028}', '\u{202e}',
        '\u{2060}', '\u{3000}', '\u{feff}',
    ];

    fn odd(text: &str) -> Oddity {
        Secret::given(text, Form::Word).unwrap_err()
    }

    #[test]
    fn what_is_not_seen_is_taken_away_around_a_secret_and_named_inside() {
        for &c in UNSEEN {
            for around in
                [format!("{c}{TOKEN}"), format!("{TOKEN}{c}"), format!("{c}{c}{TOKEN}\r\n{c}")]
            {
                assert_eq!(Secret::given(&around, Form::Word).unwrap().expose(), TOKEN, "{c:?}");
            }
            for lead in ["", "\u{feff}"] {
                let inside = odd(&format!("{lead}{}{c}{}", &TOKEN[..4], &TOKEN[4..]));
                let at = lead.chars().count() + 5;
                assert_eq!(inside, Oddity::Character { character: c, at }, "{c:?}");
                let named = format!("U+{:04X}", u32::from(c));
                assert!(inside.to_string().contains(&named), "{inside}");
            }
            assert_eq!(odd(&c.to_string()), Oddity::Empty, "{c:?}");
        }
        // A terminal's escapes are no slip of an editor: nothing is guessed.
        assert_eq!(odd("\u{1b}abcdefgh"), Oddity::Character { character: '\u{1b}', at: 1 });
    }

    #[test]
    fn marks_schemes_assignments_and_placeholders_are_named_and_never_repeated() {
        for mark in QUOTES {
            for text in [
                format!("{mark}{TOKEN}{mark}"),
                format!(" {mark}{TOKEN}"),
                format!("{TOKEN}{mark}\n"),
            ] {
                let oddity = odd(&text);
                assert!(
                    matches!(oddity, Oddity::Quoted { mark: m, .. } if m == mark),
                    "{oddity:?}"
                );
                assert!(!format!("{oddity} {oddity:?} {}", oddity.hint()).contains(&TOKEN[4..12]));
            }
        }
        for (text, expected) in [
            ("Bearer ", Oddity::Scheme("bearer")),
            ("token ", Oddity::Scheme("token")),
            ("GITHUB_TOKEN=", Oddity::Assignment),
            ("export MY_SECRET_KEY=", Oddity::Assignment),
        ] {
            assert_eq!(odd(&format!("{text}{TOKEN}")), expected);
        }
        for text in [
            "<token>",
            "${GITHUB_TOKEN}",
            "{{ token }}",
            "changeme",
            "YOUR_TOKEN_HERE",
            "xxxxxxxx",
            "***",
        ] {
            assert_eq!(odd(text), Oddity::Placeholder, "{text}");
        }
    }

    #[test]
    fn what_may_be_a_secret_is_left_as_it_is() {
        for text in [
            TOKEN,
            "x",
            "p=w",
            "a'b\"c",
            "geheim-mit-ß-und-ü",
            "c2VjcmV0LWtleQ==",
            "TOKEN==",
            "whsec_c2VjcmV0",
            "https://hooks.example.com/a?token=b",
            "-dashed-",
        ] {
            assert_eq!(Secret::given(text, Form::Word).unwrap().expose(), text);
        }
    }

    #[test]
    fn a_key_may_have_lines_and_nothing_unseen() {
        let key = "-----BEGIN PRIVATE KEY-----\r\nabc def\r\n-----END PRIVATE KEY-----";
        let given = Secret::given(&format!("\u{feff}{key}\r\n\r\n"), Form::Lines).unwrap();
        assert_eq!(given.expose(), key);
        let broken = key.replace("abc", "a\u{200b}bc");
        let oddity = Secret::given(&broken, Form::Lines).unwrap_err();
        assert_eq!(oddity, Oddity::Character { character: '\u{200b}', at: 31 });
    }

    #[test]
    fn bytes_that_are_no_text_or_too_many_are_named() {
        let utf16 = |bom: [u8; 2], order: fn(u16) -> [u8; 2]| {
            bom.into_iter().chain(TOKEN.encode_utf16().flat_map(order)).collect::<Vec<u8>>()
        };
        for (bytes, expected) in [
            (utf16([0xff, 0xfe], u16::to_le_bytes), "is UTF-16 text"),
            (utf16([0xfe, 0xff], u16::to_be_bytes), "is UTF-16 text"),
            (b"g\0h\0".to_vec(), "contains U+0000 at character 2"),
            (b"ghp_\xe9t\xe9".to_vec(), "is not UTF-8 text: byte 0xe9 at position 5"),
            (vec![b'a'; 70_000], "is larger than 64 KiB"),
            (Vec::new(), "is empty"),
        ] {
            let given = text(&bytes).and_then(|text| Secret::given(text, Form::Word));
            assert_eq!(given.unwrap_err().to_string(), expected);
        }
        let missing = Secret::in_file(Path::new("/nonexistent/token"), Form::Word);
        assert!(matches!(missing, Err(FileError::Read(_))));
    }
}
