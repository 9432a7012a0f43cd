//! From text to events, within budgets.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use granit_parser::{Event as Raw, Marker, Parser, ScalarStyle, Span, StructureStyle};

use super::scalar::Tag;
use super::source::{self, Written};
use super::{At, Fault, MAX_ALIASES, MAX_DEPTH, MAX_NODES, Why};

/// The events of one document.
#[derive(Debug, Default)]
pub(super) struct Events<'t> {
    pub(super) list: Vec<(Event<'t>, At)>,
    /// Where each anchor's node starts in `list`.
    pub(super) anchors: HashMap<usize, usize>,
}

/// A node, or the start or the end of one.
#[derive(Debug)]
pub(super) enum Event<'t> {
    Scalar { text: Cow<'t, str>, is_plain: bool, tag: Option<Tag> },
    List,
    Map,
    End,
    Alias(usize),
}

/// Reads the only document of a text; one without content has no events.
pub(super) fn collect(text: &str) -> Result<Events<'_>, Fault> {
    let mut collector = Collector { text, ..Collector::default() };
    for next in Parser::new_from_str_with_options(text, options()) {
        let (event, span) = next.map_err(|error| {
            Why::broken(error.info(), "correct the YAML").at(place(error.marker()))
        })?;
        let at = place(&span.start);
        collector.take(event, &span, at).map_err(|why| why.at(at))?;
    }
    source::tabs(text, &collector.texts)?;
    Ok(collector.events)
}

fn options() -> granit_parser::Options {
    granit_parser::options! {
        emit_comments: false,
        emit_anchor_events: true,
        // The scanner reads ahead: the limit on depth, which explains itself, must be met first.
        flow_nesting_limit: 2 * MAX_DEPTH,
    }
}

fn place(marker: &Marker) -> At {
    At { line: marker.line().max(1), column: marker.col() + 1 }
}

#[derive(Default)]
struct Collector<'t> {
    text: &'t str,
    events: Events<'t>,
    documents: usize,
    nodes: usize,
    aliases: usize,
    /// What is open around the next node.
    open: Vec<Open>,
    /// Where scalars and outermost brackets stand.
    texts: Vec<Range<usize>>,
}

/// A collection that has not ended.
struct Open {
    is_map: bool,
    /// Nodes directly in it so far.
    nodes: usize,
    /// Where the outermost brackets around it start, if it is in any.
    brackets: Option<usize>,
}

impl<'t> Collector<'t> {
    fn take(&mut self, raw: Raw<'t>, span: &Span, at: At) -> Result<(), Why> {
        match raw {
            Raw::DocumentStart(..) => self.document(),
            Raw::Anchor(_, name) => source::anchor(&name),
            Raw::Scalar(text, style, anchor, tag) => {
                let tag = tag.map(|tag| scalar_tag(&tag)).transpose()?;
                self.check(&text, style, tag, span)?;
                let is_plain = style == ScalarStyle::Plain;
                self.node(Event::Scalar { text, is_plain, tag }, anchor, at)
            }
            Raw::Alias(anchor) => {
                self.aliases += 1;
                self.node(Event::Alias(anchor), 0, at)
            }
            Raw::SequenceStart(style, anchor, tag) => {
                collection_tag(tag.as_deref(), "seq")?;
                self.node(Event::List, anchor, at)?;
                self.begin(false, style, span)
            }
            Raw::MappingStart(style, anchor, tag) => {
                collection_tag(tag.as_deref(), "map")?;
                self.node(Event::Map, anchor, at)?;
                self.begin(true, style, span)
            }
            Raw::SequenceEnd | Raw::MappingEnd => {
                self.end(span);
                self.events.list.push((Event::End, at));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn document(&mut self) -> Result<(), Why> {
        self.documents += 1;
        match self.documents {
            1 => Ok(()),
            _ => Err(Why::unclear("a second document", "put a line `---` between documents")),
        }
    }

    fn node(&mut self, event: Event<'t>, anchor: usize, at: At) -> Result<(), Why> {
        self.nodes += 1;
        if let Some(open) = self.open.last_mut() {
            open.nodes += 1;
        }
        if anchor > 0 {
            self.events.anchors.insert(anchor, self.events.list.len());
        }
        self.events.list.push((event, at));
        if self.nodes > MAX_NODES {
            return Err(Why::too_much(format!("more than {MAX_NODES} nodes in one document")));
        }
        if self.aliases.max(self.events.anchors.len()) > MAX_ALIASES {
            let what = format!("more than {MAX_ALIASES} anchors or aliases in one document");
            return Err(Why::too_much(what));
        }
        Ok(())
    }

    fn begin(&mut self, is_map: bool, style: StructureStyle, span: &Span) -> Result<(), Why> {
        let own = (style == StructureStyle::Flow).then(|| range(span).start);
        self.open.push(Open { is_map, nodes: 0, brackets: self.brackets().or(own) });
        if self.open.len() > MAX_DEPTH { Err(Why::too_deep()) } else { Ok(()) }
    }

    fn end(&mut self, span: &Span) {
        let brackets = self.open.pop().and_then(|open| open.brackets);
        if let Some(start) = brackets.filter(|_| self.brackets().is_none()) {
            self.texts.push(start..range(span).end);
        }
    }

    fn brackets(&self) -> Option<usize> {
        self.open.last().and_then(|open| open.brackets)
    }

    fn check(
        &mut self,
        text: &str,
        style: ScalarStyle,
        tag: Option<Tag>,
        span: &Span,
    ) -> Result<(), Why> {
        let place = range(span);
        let written = Written {
            source: &self.text[place.clone()],
            after: &self.text[place.end..],
            text,
            style,
            tag,
            in_brackets: self.brackets().is_some(),
            is_key: self.open.last().is_some_and(|open| open.is_map && open.nodes % 2 == 0),
        };
        written.check()?;
        if self.brackets().is_none() {
            self.texts.push(place);
        }
        Ok(())
    }
}

/// Where a node stands, in bytes: known of every text that is in memory.
fn range(span: &Span) -> Range<usize> {
    span.byte_range().unwrap_or_default()
}

/// The tag's name in YAML's own namespace.
fn core_name(tag: &granit_parser::Tag) -> Option<Cow<'_, str>> {
    tag.suffix_in_namespace("tag:yaml.org,2002:")
}

fn scalar_tag(tag: &granit_parser::Tag) -> Result<Tag, Why> {
    core_name(tag).and_then(|name| Tag::named(&name)).ok_or_else(|| unknown(tag))
}

fn collection_tag(tag: Option<&granit_parser::Tag>, own: &str) -> Result<(), Why> {
    match tag {
        Some(tag) if core_name(tag).as_deref() != Some(own) => Err(unknown(tag)),
        _ => Ok(()),
    }
}

fn unknown(tag: &granit_parser::Tag) -> Why {
    Why::unclear(format!("the tag `{}` is not supported", tag.original()), "remove the tag")
}
