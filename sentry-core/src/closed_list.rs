//! Lists of words that are closed: each value has one word, which JSON, records, tables and the configuration share.

use std::fmt::Debug;

/// A type whose values are the words of a closed list. [`crate::closed_list!`] makes one.
pub trait ClosedList: Copy + Eq + Debug + 'static {
    /// The list's name in descriptions of formats.
    const NAME: &'static str;

    /// What it is a list of.
    const ABOUT: &'static str;

    /// Every value, in the list's order.
    fn all() -> impl Iterator<Item = Self>;

    /// The value's word.
    fn as_str(self) -> &'static str;

    /// What the value means, in one sentence.
    fn about(self) -> &'static str;

    /// The value of a word; `None` if it is not on the list.
    #[must_use]
    fn from_word(word: &str) -> Option<Self> {
        Self::all().find(|value| value.as_str() == word)
    }
}

/// Defines a [`ClosedList`](crate::closed_list::ClosedList): an enum, and the word of each variant.
///
/// What is written above the enum and its variants is what formats say of them. Where variants have arguments
/// (`pub enum Reason of ReasonKind`), a second enum without them is the list. One value may be the default
/// (`pub enum Refusals, Strict by default`).
#[macro_export]
macro_rules! closed_list {
    (
        $(#[doc = $doc:literal])*
        pub enum $name:ident $(, $default:ident by default)? {
            $($(#[doc = $about:literal])* $variant:ident = $word:literal,)+
        }
    ) => {
        $crate::closed_list! {
            @list stringify!($name);
            $(#[doc = $doc])*
            pub enum $name { $($(#[doc = $about])* $variant = $word,)+ }
        }

        $(impl ::std::default::Default for $name {
            fn default() -> Self {
                Self::$default
            }
        })?
    };
    (
        $(#[doc = $doc:literal])*
        pub enum $name:ident of $kind:ident { $(
            $(#[doc = $about:literal])*
            $variant:ident $(($argument:ty))? $({ $($(#[$what:meta])* $field:ident: $type:ty,)+ })? = $word:literal,
        )+ }
    ) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum $name {
            $($(#[doc = $about])* $variant $(($argument))? $({ $($(#[$what])* $field: $type,)+ })?,)+
        }

        impl $name {
            /// It without its arguments.
            #[must_use]
            pub fn kind(&self) -> $kind {
                match self {
                    $(Self::$variant { .. } => $kind::$variant,)+
                }
            }
        }

        $crate::closed_list! {
            @list stringify!($name);
            /// The words, without their arguments.
            pub enum $kind { $($(#[doc = $about])* $variant = $word,)+ }
        }
    };
    (
        @list $shown:expr;
        $(#[doc = $doc:literal])*
        pub enum $name:ident { $($(#[doc = $about:literal])* $variant:ident = $word:literal,)+ }
    ) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[doc = $about])* $variant,)+
        }

        impl $name {
            /// Every value, in the list's order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word in JSON, records, tables and the configuration.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl $crate::closed_list::ClosedList for $name {
            const NAME: &'static str = $shown;
            const ABOUT: &'static str = concat!($($doc),*).trim_ascii();

            fn all() -> impl Iterator<Item = Self> {
                Self::ALL.iter().copied()
            }

            fn as_str(self) -> &'static str {
                self.as_str()
            }

            fn about(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!($($about),*).trim_ascii(),)+
                }
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}

#[cfg(test)]
#[expect(unreachable_pub, reason = "what the macro makes is public")]
mod tests {
    use super::*;

    crate::closed_list! {
        /// Colours.
        pub enum Paint of Colour {
            /// Red.
            Red = "red",
            /// Any other.
            Mixed(u8) = "mixed",
            /// Two.
            Two {
                /// The second.
                second: u8,
            } = "two of them",
        }
    }

    crate::closed_list! {
        /// Where.
        pub enum Side, Near by default {
            /// There.
            Far = "far",
            /// Here,
            /// or near.
            Near = "near",
        }
    }

    #[test]
    fn each_value_has_one_word_and_reads_back_from_it() {
        let words: Vec<&str> = Colour::all().map(Colour::as_str).collect();
        assert_eq!(words, ["red", "mixed", "two of them"]);
        assert!(Colour::all().all(|colour| Colour::from_word(colour.as_str()) == Some(colour)));
        assert_eq!((Colour::from_word("green"), Colour::NAME), (None, "Paint"));
        assert_eq!((Side::ABOUT, Side::default().about()), ("Where.", "Here, or near."));
        assert_eq!(format!("{:>5}|{}", Colour::Red, Colour::Two), "  red|two of them");
    }

    #[test]
    fn what_has_arguments_has_the_word_of_its_kind() {
        let kinds = [Paint::Red, Paint::Mixed(1), Paint::Two { second: 2 }].map(|p| p.kind());
        assert_eq!(kinds, [Colour::Red, Colour::Mixed, Colour::Two]);
    }
}
