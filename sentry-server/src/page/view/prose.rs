//! Sentences with commands in them: what stands between backticks is shown as code.

use askama::Template;

/// A sentence in pieces.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "part/prose.html")]
pub(crate) struct Prose(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Code(String),
}

impl Prose {
    /// A backtick that no other one answers stays as it is.
    pub(crate) fn of(text: &str) -> Self {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, code, after)) = first_code(rest) {
            pieces.extend((!before.is_empty()).then(|| Piece::Text(before.to_owned())));
            pieces.push(Piece::Code(code.to_owned()));
            rest = after;
        }
        pieces.extend((!rest.is_empty()).then(|| Piece::Text(rest.to_owned())));
        Self(pieces)
    }
}

/// What stands before, between and after the first two backticks with something between them.
fn first_code(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once('`')?;
    let (code, after) = rest.split_once('`')?;
    (!code.is_empty()).then_some((before, code, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_between_backticks_is_code_and_all_else_stays_as_it_is() {
        for (text, shown) in [
            (
                "run `sentry watch`, then `x <y>`",
                "run <code>sentry watch</code>, then <code>x &#60;y&#62;</code>",
            ),
            ("`all`", "<code>all</code>"),
            ("one ` alone", "one &#96; alone"),
            ("`a` and ` alone", "<code>a</code> and &#96; alone"),
            ("``", "&#96;&#96;"),
            ("", ""),
        ] {
            assert_eq!(Prose::of(text).render().unwrap(), shown, "{text}");
        }
    }
}
