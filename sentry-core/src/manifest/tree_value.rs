//! From YAML events to JSON as `kubectl` makes it, counting what is made.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// What all documents have used of the budget, aliases expanded.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Spent {
    nodes: usize,
    text: usize,
}

impl Spent {
    pub(super) fn exceeds(self, nodes: usize, text: usize) -> bool {
        self.nodes > nodes || self.text > text
    }
}

/// Reads one node.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seed<'s> {
    pub(super) spent: &'s Cell<Spent>,
    pub(super) max_nodes: usize,
    pub(super) max_text: usize,
}

impl Seed<'_> {
    fn spend<E: Error>(&self, text: usize) -> Result<(), E> {
        let mut spent = self.spent.get();
        spent.nodes += 1;
        spent.text += text;
        self.spent.set(spent);
        if spent.exceeds(self.max_nodes, self.max_text) {
            return Err(E::custom(format_args!(
                "all documents together have more than {} nodes or {} bytes of text",
                self.max_nodes, self.max_text
            )));
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML node")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        self.spend(0)?;
        Ok(Value::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Value, E> {
        self.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.deserialize(deserializer)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        self.spend(0)?;
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        self.spend(0)?;
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        self.spend(0)?;
        Ok(value.into())
    }

    // kubectl reads an integer beyond 64 bits as a float.
    #[expect(clippy::cast_precision_loss, reason = "a float is what kubectl makes of it")]
    fn visit_i128<E: Error>(self, value: i128) -> Result<Value, E> {
        self.visit_f64(value as f64)
    }

    #[expect(clippy::cast_precision_loss, reason = "a float is what kubectl makes of it")]
    fn visit_u128<E: Error>(self, value: u128) -> Result<Value, E> {
        self.visit_f64(value as f64)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        self.spend(0)?;
        number(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom(format_args!("{value} is no number that JSON can hold")))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        self.spend(value.len())?;
        Ok(value.into())
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        self.spend(value.len())?;
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        self.spend(0)?;
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(self)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        self.spend(0)?;
        let mut object = Map::new();
        while let Some(key) = map.next_key_seed(KeySeed(self))? {
            let value = map.next_value_seed(self)?;
            if object.insert(key.clone(), value).is_some() {
                return Err(A::Error::custom(format_args!("the key `{key}` stands there twice")));
            }
        }
        Ok(Value::Object(object))
    }
}

/// A float as Go writes it into JSON: whole ones without a fraction.
fn number(value: f64) -> Option<Number> {
    // 2^63: below it, every whole float is an i64 exactly.
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if value.fract() == 0.0 && value.abs() < LIMIT {
        #[expect(clippy::cast_possible_truncation, reason = "whole and within i64")]
        return Some((value as i64).into());
    }
    Number::from_f64(value)
}

/// How the error about a key ends, by which its remedy is found.
pub(super) const KEY_IS_NO_TEXT: &str = "not text";

/// Reads a key: JSON has text keys only, and readers differ in what `on:` or `1:` become.
struct KeySeed<'s>(Seed<'s>);

impl<'de> DeserializeSeed<'de> for KeySeed<'_> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        match deserializer.deserialize_any(self.0)? {
            Value::String(key) => Ok(key),
            Value::Array(_) | Value::Object(_) => Err(no_text("a list or mapping")),
            other => Err(no_text(&format!("`{other}`"))),
        }
    }
}

fn no_text<E: Error>(what: &str) -> E {
    E::custom(format_args!("a key is {what}, {KEY_IS_NO_TEXT}"))
}
