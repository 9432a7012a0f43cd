//! The document as a tree whose parts know where they stand. The only place that knows the YAML library.

use std::fmt;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;
use serde_saphyr::options::DuplicateKeyPolicy;

use crate::MAX_SIZE;
use crate::problem::Report;

/// No configuration has more values and keys.
const MOST_NODES: usize = 1_000_000;

/// A value of the document.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) variable: Option<Arc<str>>,
}

#[derive(Debug, Clone)]
pub(crate) enum Kind {
    Null,
    /// A text, or what a variable was filled into: then it may also be read as a number or boolean.
    Text {
        text: String,
        written: Option<String>,
    },
    Number(String),
    Bool(bool),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
    /// Already reported.
    Failed,
}

#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) text: String,
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) variable: Option<Arc<str>>,
}

impl Node {
    /// A value that comes from an environment variable instead of the file.
    pub(crate) fn from_variable(kind: Kind, variable: &Arc<str>) -> Self {
        Self { kind, line: 0, column: 0, variable: Some(Arc::clone(variable)) }
    }

    /// What it is, with an article, for messages.
    pub(crate) fn describe(&self) -> &'static str {
        match self.kind {
            Kind::Null | Kind::Failed => "nothing",
            Kind::Text { .. } => "a string",
            Kind::Number(_) => "a number",
            Kind::Bool(_) => "true or false",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a mapping",
        }
    }
}

/// Reads a text with limits that no operator's file comes near, not even one of twenty thousand watches; what a few lines
/// of aliases would grow to is refused, not expanded.
pub(crate) fn parse(text: &str, report: &mut Report) -> Option<Node> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: 4 * MOST_NODES,
            max_aliases: 200_000,
            enforce_alias_anchor_ratio: false,
            max_anchors: 10_000,
            max_nodes: MOST_NODES,
            max_recorded_anchor_events: 100_000,
            max_recorded_anchor_bytes: MAX_SIZE,
            max_total_scalar_bytes: MAX_SIZE,
            max_merge_keys: 200_000,
            max_documents: 1,
            max_depth: 40,
        },
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: MOST_NODES,
            max_replay_stack_depth: 16,
            max_alias_expansions_per_anchor: 200_000,
        },
        // YAML 1.1 reads y, no and on as booleans: as names of branches and variables they are texts.
        strict_booleans: true,
        with_snippet: false,
    };
    match serde_saphyr::from_str_with_options::<Node>(text, options) {
        Ok(node) => Some(node),
        Err(error) => {
            let error = error.without_snippet();
            let (line, column) =
                error.location().map_or((1, 1), |l| (small(l.line()), small(l.column())));
            let message = error.to_string();
            let message = without_place(&message);
            match message.strip_prefix("budget breached: ") {
                Some(what) => report.too_much(line.max(1), column.max(1), what),
                None => report.syntax(line.max(1), column.max(1), message),
            }
            None
        }
    }
}

fn small(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// The first line of the parser's message, without the place that is told beside it.
fn without_place(message: &str) -> &str {
    let line = message.lines().next().unwrap_or("is not valid YAML");
    let end = [" at line ", " (defined at "].iter().filter_map(|mark| line.find(mark)).min();
    end.map_or(line, |end| &line[..end])
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Kind>::deserialize(deserializer)?;
        Ok(Self {
            kind: spanned.value,
            line: small(spanned.referenced.line()),
            column: small(spanned.referenced.column()),
            variable: None,
        })
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(KindVisitor)
    }
}

struct KindVisitor;

impl<'de> Visitor<'de> for KindVisitor {
    type Value = Kind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Kind, E> {
        Ok(Kind::Null)
    }

    fn visit_none<E>(self) -> Result<Kind, E> {
        Ok(Kind::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Kind, D::Error> {
        Kind::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Kind, E> {
        Ok(Kind::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Kind, E> {
        Ok(Kind::Number(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Kind, E> {
        Ok(Kind::Number(value.to_string()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Kind, E> {
        Ok(Kind::Number(value.to_string()))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Kind, E> {
        Ok(Kind::Number(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Kind, E> {
        Ok(Kind::Number(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Kind, E> {
        Ok(Kind::Text { text: value.to_owned(), written: None })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Kind, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Kind::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Kind, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            let at = key.referenced;
            let (line, column) = (small(at.line()), small(at.column()));
            let key = Key { text: key.value, line, column, variable: None };
            entries.push((key, map.next_value()?));
        }
        Ok(Kind::Map(entries))
    }
}
