//! Texts that are programs: expressions, patterns and lists of them. A variable's value may not become a part of the
//! program, no matter who chose it. So the variables are replaced by marks, the text is read, and the values are put
//! into what was read.

use sha2::{Digest as _, Sha256};

use super::variables::Variables;

/// A text with marks where its variables stood.
///
/// A mark is a name in the languages it stands in, has no meaning in any pattern, and stands nowhere else in the text:
/// it holds a digest of it.
#[derive(Debug)]
pub(super) struct Marked {
    pub(super) text: String,
    /// What every mark starts with.
    prefix: String,
    /// The variables' names and values, by the marks' numbers.
    values: Vec<(String, String)>,
}

impl Marked {
    /// A text in which nothing is a variable.
    pub(super) fn plain(text: &str) -> Self {
        Self { text: text.to_owned(), prefix: "_none_".to_owned(), values: Vec::new() }
    }

    /// Variables without a value stay as they are.
    pub(super) fn new(text: &str, variables: &Variables<'_>) -> Self {
        let digest = Sha256::digest(text.as_bytes());
        let digest = data_encoding::BASE32_NOPAD.encode(&digest[..16]).to_ascii_lowercase();
        let prefix = format!("_{digest}_");
        let mut values = Vec::new();
        let text = variables.replace(text, |name, value| {
            values.push((name.to_owned(), value.to_owned()));
            format!("{prefix}{}_", values.len() - 1)
        });
        Self { text, prefix, values }
    }

    /// A part of the text, cut where the marks are: what stands there, and the variable that follows it.
    fn pieces<'m, 'p>(
        &'m self,
        part: &'p str,
    ) -> impl Iterator<Item = (&'p str, Option<&'m (String, String)>)> {
        let mut rest = Some(part);
        std::iter::from_fn(move || {
            let text = rest.take()?;
            let marked = text.split_once(self.prefix.as_str()).and_then(|(before, after)| {
                let (number, after) = after.split_once('_')?;
                Some((before, self.values.get(number.parse::<usize>().ok()?)?, after))
            });
            let Some((before, variable, after)) = marked else { return Some((text, None)) };
            rest = Some(after);
            Some((before, Some(variable)))
        })
    }

    /// True if a part of the text holds a mark.
    pub(super) fn is_in(&self, part: &str) -> bool {
        part.contains(&self.prefix)
    }

    /// The name of the variable that a name stands for.
    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        match self.pieces(name).collect::<Vec<_>>()[..] {
            [("", Some((variable, _))), ("", None)] => Some(variable),
            _ => None,
        }
    }

    /// A part of the text, or a message about it, as the document has it.
    pub(super) fn shown(&self, part: &str) -> String {
        let shown = |(before, variable): (&str, Option<&(String, String)>)| match variable {
            Some((name, _)) => format!("{before}{{{{ {name} }}}}"),
            None => before.to_owned(),
        };
        self.pieces(part).map(shown).collect()
    }

    /// A part of the text with the values in it.
    pub(super) fn filled(&self, part: &str) -> String {
        let filled = |(before, variable): (&str, Option<&(String, String)>)| {
            [before, variable.map_or("", |(_, value)| value)].concat()
        };
        self.pieces(part).map(filled).collect()
    }

    /// A part of the text with what is made of each value in it.
    pub(super) fn filled_by(
        &self,
        part: &str,
        made: impl Fn(&str) -> Result<String, String>,
    ) -> Result<String, String> {
        let pieces = self.pieces(part).map(|(before, variable)| {
            let value = variable.map(|(_, value)| made(value)).transpose()?;
            Ok([before, value.as_deref().unwrap_or_default()].concat())
        });
        pieces.collect()
    }

    /// A pattern with the values in it, each standing for itself.
    ///
    /// # Errors
    /// If a variable stands where no text can: after a backslash, or among the characters of `[…]`.
    pub(super) fn pattern(
        &self,
        part: &str,
        literal: impl Fn(&str) -> String,
    ) -> Result<String, String> {
        let mut filled = String::new();
        let mut place = Place::Text;
        for (before, variable) in self.pieces(part) {
            filled.push_str(before);
            place = before.chars().fold(place, Place::after);
            let Some((name, value)) = variable else { break };
            if place != Place::Text {
                return Err(format!(
                    "`{{{{ {name} }}}}` can't be used inside `[…]` or after a backslash in a \
                     pattern: move it outside"
                ));
            }
            filled.push_str(&literal(value));
        }
        Ok(filled)
    }
}

/// Where in a pattern a character stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Text,
    Escaped,
    /// At the start of `[…]`, where a `]` is one of its characters.
    Open,
    Class,
    EscapedInClass,
}

impl Place {
    fn after(self, c: char) -> Self {
        match (self, c) {
            (Self::Text, '\\') => Self::Escaped,
            (Self::Text, '[') | (Self::Open, '!' | '^') => Self::Open,
            (Self::Open | Self::Class, '\\') => Self::EscapedInClass,
            (Self::Class, ']') | (Self::Text | Self::Escaped, _) => Self::Text,
            (Self::Open | Self::Class | Self::EscapedInClass, _) => Self::Class,
        }
    }
}
