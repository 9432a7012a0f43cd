//! From events to a value: aliases are read again where they stand, merge keys are merged in, keys are text.

use std::cell::Cell;
use std::collections::HashSet;

use serde_json::{Map, Value};

use super::events::{Event, Events};
use super::{At, Fault, MAX_DEPTH, MAX_FILE_BYTES, MAX_NODES, MAX_TEXT_BYTES, Spent, Why, scalar};

/// Makes the value of a document.
pub(super) fn compose(events: &Events<'_>, spent: &Cell<Spent>) -> Result<Value, Fault> {
    if events.list.is_empty() {
        return Ok(Value::Null);
    }
    Composer { events, spent, next: 0, depth: 0, text: 0, open: Vec::new() }.value()
}

struct Composer<'e, 't> {
    events: &'e Events<'t>,
    spent: &'e Cell<Spent>,
    next: usize,
    depth: usize,
    /// Bytes of this document's texts.
    text: usize,
    /// The aliases that are being read.
    open: Vec<usize>,
}

/// A mapping and which of its keys are known from merge keys alone.
#[derive(Default)]
struct Mapping {
    object: Map<String, Value>,
    merged: HashSet<String>,
}

impl Composer<'_, '_> {
    fn value(&mut self) -> Result<Value, Fault> {
        let (event, at) = &self.events.list[self.next];
        self.next += 1;
        match event {
            Event::Scalar { text, is_plain, tag } => {
                self.spend(text.len(), *at)?;
                scalar::read(text, *is_plain, *tag).map_err(|why| why.at(*at))
            }
            Event::Alias(anchor) => self.alias(*anchor, *at),
            Event::List => self.inside(*at, Self::list).map(Value::Array),
            Event::Map => self.inside(*at, Self::mapping).map(Value::Object),
            Event::End => Err(Why::broken("a node is missing", "correct the YAML").at(*at)),
        }
    }

    fn spend(&mut self, text: usize, at: At) -> Result<(), Fault> {
        self.text += text;
        if self.text > MAX_FILE_BYTES {
            let what = format!(
                "more than {MAX_FILE_BYTES} bytes of text in one document, aliases expanded"
            );
            return Err(Why::too_much(what).at(at));
        }
        let mut spent = self.spent.get();
        spent.nodes += 1;
        spent.text += text;
        self.spent.set(spent);
        if spent.is_all() {
            let what = format!(
                "all documents together have more than {MAX_NODES} nodes or {MAX_TEXT_BYTES} bytes of text"
            );
            return Err(Why::too_much(what).at(at));
        }
        Ok(())
    }

    fn alias(&mut self, anchor: usize, at: At) -> Result<Value, Fault> {
        let start = self.events.anchors.get(&anchor).copied();
        let Some(start) = start.filter(|_| !self.open.contains(&anchor)) else {
            return Err(Why::broken("an alias inside its own anchor", "correct the YAML").at(at));
        };
        self.open.push(anchor);
        let back = std::mem::replace(&mut self.next, start);
        let value = self.value();
        self.next = back;
        self.open.pop();
        value
    }

    fn inside<T>(
        &mut self,
        at: At,
        read: impl FnOnce(&mut Self) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        self.spend(0, at)?;
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Why::too_deep().at(at));
        }
        let read = read(self);
        self.depth -= 1;
        read
    }

    /// True, and past it, if the collection ends here.
    fn ends(&mut self) -> bool {
        let ends = matches!(self.events.list.get(self.next), Some((Event::End, _)) | None);
        self.next += usize::from(ends);
        ends
    }

    fn list(&mut self) -> Result<Vec<Value>, Fault> {
        let mut items = Vec::new();
        while !self.ends() {
            items.push(self.value()?);
        }
        Ok(items)
    }

    fn mapping(&mut self) -> Result<Map<String, Value>, Fault> {
        let mut mapping = Mapping::default();
        while !self.ends() {
            let (key, at) = &self.events.list[self.next];
            if is_merge(key) {
                self.next += 1;
                self.merge(&mut mapping, *at)?;
                continue;
            }
            let key = text_key(self.value()?).map_err(|why| why.at(*at))?;
            let value = self.value()?;
            let is_merged = mapping.merged.remove(&key);
            if mapping.object.insert(key.clone(), value).is_some() && !is_merged {
                let why =
                    Why::unclear(format!("the key `{key}` appears twice"), "remove one of the two");
                return Err(why.at(*at));
            }
        }
        Ok(mapping.object)
    }

    /// Merges what follows a merge key. kubectl lets it win over keys before it, other readers and YAML's own definition
    /// don't: where that would be seen, it is refused.
    fn merge(&mut self, mapping: &mut Mapping, at: At) -> Result<(), Fault> {
        for (key, value) in self.merged(at)? {
            match mapping.object.get(&key) {
                Some(before) if *before != value => {
                    let what = format!("`<<` brings a different `{key}` than the one before it");
                    return Err(Why::unclear(what, "put `<<` first, and only one").at(at));
                }
                Some(_) => {}
                None => {
                    mapping.merged.insert(key.clone());
                    mapping.object.insert(key, value);
                }
            }
        }
        Ok(())
    }

    /// What a merge key stands for: a mapping, or mappings of which the first one wins.
    fn merged(&mut self, at: At) -> Result<Map<String, Value>, Fault> {
        let is_map = |this: &Self| match &this.events.list[this.next].0 {
            Event::Map => true,
            Event::Alias(anchor) => {
                let start = this.events.anchors.get(anchor);
                start.is_some_and(|start| matches!(this.events.list[*start].0, Event::Map))
            }
            _ => false,
        };
        let no_map =
            || Why::unclear("`<<` with something other than mappings", "give it a mapping").at(at);
        if !matches!(self.events.list[self.next].0, Event::List) {
            return match (is_map(self), self.value()?) {
                (true, Value::Object(object)) => Ok(object),
                _ => Err(no_map()),
            };
        }
        self.next += 1;
        let mut all = Map::new();
        while !self.ends() {
            let (true, Value::Object(object)) = (is_map(self), self.value()?) else {
                return Err(no_map());
            };
            for (key, value) in object {
                all.entry(key).or_insert(value);
            }
        }
        Ok(all)
    }
}

fn is_merge(key: &Event<'_>) -> bool {
    matches!(key, Event::Scalar { text, is_plain: true, tag: None } if text == "<<")
}

/// JSON has text keys only, and readers differ in what `on:` or `1:` become.
fn text_key(key: Value) -> Result<String, Why> {
    const REMEDY: &str = "quote the key";
    match key {
        Value::String(key) => Ok(key),
        Value::Array(_) | Value::Object(_) => {
            Err(Why::broken("a key is a list or mapping, not a string", REMEDY))
        }
        other => Err(Why::unclear(format!("a key is `{other}`, not a string"), REMEDY)),
    }
}
