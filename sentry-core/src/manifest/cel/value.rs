//! The values of an expression, and what keeps it from having one.

use std::cmp::Ordering;
use std::rc::Rc;

use super::super::fuel::{Exhausted, Fuel};

/// A value.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(Rc<str>),
    List(Rc<Vec<Value>>),
    Map(Rc<Vec<(Value, Value)>>),
    /// The variable `files`, whose fields are looked up when they are asked for.
    Files,
}

/// Why there is no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// It depends on which paths changed, or how.
    Paths,
    /// It took too long: ends the evaluation.
    Exhausted,
    /// A part of it is over a limit.
    Limit(String),
    /// It asks for a webhook's payload.
    Payload(String),
    /// A value would have to become a part of the expression.
    Refused(String),
    Other(String),
}

impl From<Exhausted> for Fault {
    fn from(_: Exhausted) -> Self {
        Self::Exhausted
    }
}

pub(super) type Outcome = Result<Value, Fault>;

pub(super) fn fault<T>(why: impl Into<String>) -> Result<T, Fault> {
    Err(Fault::Other(why.into()))
}

impl Value {
    pub(super) fn text(text: &str) -> Self {
        Self::Text(text.into())
    }

    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Int(_) | Self::Uint(_) | Self::Double(_) => "a number",
            Self::Text(_) => "a string",
            Self::List(_) => "a list",
            Self::Map(_) | Self::Files => "a map",
        }
    }

    /// `==`: values of different kinds differ, numbers are compared as numbers.
    pub(super) fn equals(&self, other: &Self, fuel: &mut Fuel) -> Result<bool, Fault> {
        fuel.spend(1)?;
        Ok(match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Text(a), Self::Text(b)) => {
                fuel.spend(a.len().min(b.len()) / 16)?;
                a == b
            }
            (Self::List(a), Self::List(b)) => {
                if a.len() != b.len() {
                    return Ok(false);
                }
                for (a, b) in a.iter().zip(b.iter()) {
                    if !a.equals(b, fuel)? {
                        return Ok(false);
                    }
                }
                true
            }
            (Self::Map(a), Self::Map(b)) => {
                if a.len() != b.len() {
                    return Ok(false);
                }
                for (key, value) in a.iter() {
                    match find(b, key, fuel)? {
                        Some(other) if value.equals(other, fuel)? => {}
                        _ => return Ok(false),
                    }
                }
                true
            }
            _ => self.number_order(other) == Some(Ordering::Equal),
        })
    }

    /// `<` and its like.
    pub(super) fn compare(&self, other: &Self, fuel: &mut Fuel) -> Result<Ordering, Fault> {
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => Ok(a.cmp(b)),
            (Self::Text(a), Self::Text(b)) => {
                fuel.spend(a.len().min(b.len()) / 16)?;
                Ok(a.cmp(b))
            }
            _ => match self.number_order(other) {
                Some(order) => Ok(order),
                None => fault(format!("{} can't be compared with {}", self.kind(), other.kind())),
            },
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "CEL compares across numbers as doubles do")]
    fn number_order(&self, other: &Self) -> Option<Ordering> {
        let whole = |value: &Self| match value {
            Self::Int(i) => Some(i128::from(*i)),
            Self::Uint(u) => Some(i128::from(*u)),
            _ => None,
        };
        let double = |value: &Self| match value {
            Self::Double(d) => Some(*d),
            other => whole(other).map(|w| w as f64),
        };
        match (whole(self), whole(other)) {
            (Some(a), Some(b)) => Some(a.cmp(&b)),
            _ => double(self)?.partial_cmp(&double(other)?),
        }
    }
}

/// The value under a key.
pub(super) fn find<'m>(
    map: &'m [(Value, Value)],
    key: &Value,
    fuel: &mut Fuel,
) -> Result<Option<&'m Value>, Fault> {
    for (own, value) in map {
        if own.equals(key, fuel)? {
            return Ok(Some(value));
        }
    }
    Ok(None)
}
