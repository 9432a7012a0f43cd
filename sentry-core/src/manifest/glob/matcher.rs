//! The matchers that a pattern becomes.

/// Something that a text, or a part of one, may match.
#[derive(Debug)]
pub(super) enum Matcher {
    /// The empty text.
    Nothing,
    /// Any text.
    Super,
    /// This text.
    Text(String),
    /// Any character.
    Single,
    /// One of these characters, or none of them.
    List { chars: Vec<char>, not: bool },
    /// A character from here to there, or none of those.
    Range { low: char, high: char, not: bool },
    /// Any text that begins so.
    Prefix(String),
    /// Any text that ends so.
    Suffix(String),
    /// Any text that begins and ends so; the two may overlap.
    PrefixSuffix(String, String),
    /// Any text that holds this one.
    Contains(String),
    /// At least so many characters.
    AtLeast(usize),
    /// So many characters that do not hold this text.
    Exactly { count: usize, without: Option<String> },
    /// Any of these.
    AnyOf(Vec<Self>),
    /// Matchers of known lengths after each other, together of so many characters.
    Row { length: usize, parts: Vec<Self> },
    /// What is found somewhere, with what stands before and after it.
    Tree(Box<Tree>),
}

#[derive(Debug)]
pub(super) struct Tree {
    pub(super) value: Matcher,
    pub(super) left: Option<Matcher>,
    pub(super) right: Option<Matcher>,
}

impl Matcher {
    /// Characters that a match has, where that is known.
    pub(super) fn length(&self) -> Option<usize> {
        match self {
            Self::Nothing => Some(0),
            Self::Single | Self::List { .. } | Self::Range { .. } => Some(1),
            Self::Text(text) => Some(text.chars().count()),
            Self::Row { length, .. } => Some(*length),
            Self::AnyOf(matchers) => length_of_any(matchers),
            _ => None,
        }
    }
}

/// The length that all have. One that is not known is passed over as long as none was: so `{*a,b}` counts as one
/// character in Pipelines-as-Code.
fn length_of_any(matchers: &[Matcher]) -> Option<usize> {
    let mut length = None;
    for matcher in matchers {
        match (length, matcher.length()) {
            (None, own) => length = own,
            (Some(so_far), Some(own)) if so_far == own => {}
            _ => return None,
        }
    }
    length
}
