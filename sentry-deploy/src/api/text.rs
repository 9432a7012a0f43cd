//! Texts of a cluster, made fit for errors. Pure.

/// The longest text that goes into an error, in bytes.
const LONGEST: usize = 2048;

/// Takes manifests out of a text: JSON (`{"…"}`) and Go maps (`map[…]`), which kubectl quotes in some errors. Each
/// goes to the last closing bracket, for one inside a string may close nothing, or to the end where that was cut off.
pub(crate) fn scrub(text: &str) -> String {
    let mut clean = String::new();
    let mut rest = text;
    loop {
        let json = rest.find("{\"").map(|at| (at, at, '}'));
        let map = rest.find("map[").map(|at| (at, at + 3, ']'));
        let Some((_, from, close)) = [json, map].into_iter().flatten().min() else { break };
        clean.push_str(&rest[..from]);
        clean.push('…');
        let end = rest.rfind(close).filter(|&end| end > from);
        rest = end.map_or("", |end| &rest[end + 1..]);
    }
    clean + rest
}

/// Cuts a text to what fits into an error.
pub(crate) fn cut(text: &str) -> String {
    if text.len() <= LONGEST {
        return text.to_owned();
    }
    let end = (0..=LONGEST).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    format!("{}…", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifests_are_taken_out_of_error_texts() {
        let text = r#"error: Object 'Kind' is missing in '{"data":{"p":["s3cr3t"]}}' and map[p:s3cr3t [x]] end"#;
        let clean = scrub(text);
        assert_eq!(clean, "error: Object 'Kind' is missing in '…' and map… end");
        assert_eq!(scrub(r#"cut {"data": {"p": "s3cr3t"#), "cut …");
        assert_eq!(scrub("plain ] } {x}"), "plain ] } {x}");
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let text = cut(&"é".repeat(3000));
        assert!(text.len() <= LONGEST + 3 && text.ends_with('…'));
    }
}
