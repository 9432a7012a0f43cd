//! What may be handed to the parser: it calls itself for what is nested or chained, and a stack that overflows ends
//! the process.

/// Bytes of an expression.
const MAX_BYTES: usize = 4_096;
/// Brackets, and conditions, inside each other.
pub(super) const MAX_NESTING: u16 = 24;
/// Operators, dots and commas.
const MAX_OPERATORS: usize = 400;

/// Looks at an expression before it is parsed.
///
/// # Errors
/// Which limit it is over.
pub(super) fn check(text: &str) -> Result<(), String> {
    if text.len() > MAX_BYTES {
        return Err(format!("has more than {MAX_BYTES} bytes"));
    }
    let bytes = text.as_bytes();
    let (mut depth, mut operators, mut at) = (0_u16, 0, 0);
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' | b'\'' => {
                at = end_of_text(bytes, at);
                continue;
            }
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            b'_' => {}
            byte if byte.is_ascii_punctuation() => operators += 1,
            _ => {}
        }
        if depth > MAX_NESTING {
            return Err(format!("has more than {MAX_NESTING} nested brackets"));
        }
        if operators > MAX_OPERATORS {
            return Err(format!("has more than {MAX_OPERATORS} operators"));
        }
        at += 1;
    }
    Ok(())
}

/// Where a quoted text ends. One that does not end is left to the parser, with all that would follow counted as text:
/// it refuses it.
fn end_of_text(bytes: &[u8], start: usize) -> usize {
    let quote = bytes[start];
    let raw = start > 0 && matches!(bytes[start - 1], b'r' | b'R');
    let fence = [quote; 3];
    let long = bytes[start..].starts_with(&fence);
    let closing: &[u8] = if long { &fence } else { &fence[..1] };
    let mut at = start + closing.len();
    while at < bytes.len() && !bytes[at..].starts_with(closing) {
        at += if bytes[at] == b'\\' && !raw { 2 } else { 1 };
    }
    at + closing.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_holds_from_the_first_beyond_it_and_texts_count_for_nothing_but_bytes() {
        let nesting = usize::from(MAX_NESTING);
        for (most, word, text) in [
            (MAX_BYTES, "bytes", (&|n| "a".repeat(n)) as &dyn Fn(usize) -> String),
            (nesting, "brackets", &|n| "(".repeat(n)),
            (nesting, "brackets", &|n| format!("[{}", "{}".repeat(9) + &"(".repeat(n - 1))),
            (MAX_OPERATORS, "operators", &|n| format!("{}_'..'\"(((\\\"\"", "a+".repeat(n))),
            (MAX_OPERATORS, "operators", &|n| format!("r'\\'{}", "-".repeat(n))),
            (MAX_OPERATORS, "operators", &|n| format!("\"\"\"\"+\"\"\"{}", "-".repeat(n))),
        ] {
            assert_eq!(check(&text(most)), Ok(()), "{word}");
            assert!(check(&text(most + 1)).unwrap_err().contains(word), "{}", text(most + 1));
        }
    }
}
