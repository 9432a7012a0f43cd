//! Untrusted text, made safe to show: branches, authors, paths, messages of runs and of servers. The one cleaning for
//! terminals, logs, chats, statuses and the page; what a place takes for markup is its own to escape.

/// The replacement for a hidden character.
pub const HIDDEN: char = char::REPLACEMENT_CHARACTER;

/// True for a character that shows nothing of its own and changes how the text around it is shown or read: controls
/// (a terminal's escapes begin with one), marks that turn the writing direction, separators of lines and paragraphs,
/// and what has no width.
///
/// <https://www.unicode.org/reports/tr9/#Directional_Formatting_Characters>,
/// <https://www.unicode.org/reports/tr44/#Default_Ignorable_Code_Point>; the selectors that follow an emoji are no
/// part of it.
#[must_use]
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{70f}' | '\u{115f}' | '\u{1160}'
            | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// The character, or what is shown in its place. Ends of lines and tabs stay.
#[must_use]
pub fn shown(c: char) -> char {
    if is_hidden(c) && c != '\n' && c != '\t' { HIDDEN } else { c }
}

/// The text with every character as it is [`shown`].
#[must_use]
pub fn clean(text: &str) -> String {
    text.chars().map(shown).collect()
}

/// The text as one clean line, with one blank for each run of white space. A separator that only Unicode knows is
/// hidden: a name made of nothing else is not shown as nothing.
#[must_use]
pub fn line(text: &str) -> String {
    let blank = |c: char| c.is_ascii_whitespace() || (c.is_whitespace() && !is_hidden(c));
    let words: Vec<_> = text.split(blank).filter(|word| !word.is_empty()).collect();
    clean(&words.join(" "))
}

/// The text in at most so many characters; one that has more ends in `…`.
#[must_use]
pub fn cut(text: &str, chars: usize) -> String {
    if text.chars().nth(chars).is_none() {
        return text.to_owned();
    }
    text.chars().take(chars.saturating_sub(1)).chain(['…']).collect()
}

/// JSON text with what is [hidden](is_hidden) in it escaped, which means the same when it is read as JSON.
#[must_use]
pub fn json(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut units = [0; 2];
    for c in text.chars() {
        if shown(c) == c {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut units) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_turns_or_hides_is_shown_as_one_mark() {
        for c in [
            '\0',
            '\u{1b}',
            '\r',
            '\u{7f}',
            '\u{9b}',
            '\u{202e}',
            '\u{2066}',
            '\u{2028}',
            '\u{200b}',
            '\u{feff}',
            '\u{e0041}',
        ] {
            assert_eq!(clean(&format!("a{c}b")), "a\u{fffd}b", "{c:?}");
            let quoted = serde_json::to_string(&format!("a{c}b")).unwrap();
            let escaped = json(&quoted);
            assert!(escaped.is_ascii() && !escaped.contains(char::is_control), "{escaped}");
            assert_eq!(serde_json::from_str::<String>(&escaped).unwrap(), format!("a{c}b"));
        }
        let plain = "Straße 日本語 العربية ❤\u{fe0f} a\tb\nc \u{fffd}";
        assert_eq!((clean(plain).as_str(), json(plain).as_str()), (plain, plain));
        assert_eq!(line(" a \u{2028}b\r\n\tc\u{1b}[2K\u{3000}"), "a \u{fffd}b c\u{fffd}[2K");
        assert_eq!((cut("äöü", 2), cut("äöü", 3)), ("ä…".to_owned(), "äöü".to_owned()));
    }
}
