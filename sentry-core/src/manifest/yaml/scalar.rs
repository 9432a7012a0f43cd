//! What a scalar is for kubectl: the rules of go-yaml v2 (`resolve.go` in sigs.k8s.io/yaml) with YAML 1.1's booleans and
//! octal numbers, and Go's way of writing numbers into JSON.

use base64::Engine as _;
use serde_json::{Number, Value};

use super::Why;

/// A tag that a scalar may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tag {
    Str,
    Int,
    Float,
    Bool,
    Null,
    Binary,
}

impl Tag {
    /// The tag of this name in YAML's own namespace, if it is read.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "str" => Self::Str,
            "int" => Self::Int,
            "float" => Self::Float,
            "bool" => Self::Bool,
            "null" => Self::Null,
            "binary" => Self::Binary,
            _ => return None,
        })
    }
}

/// What stands there without quotes.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Plain {
    Null,
    Bool(bool),
    Integer(i64),
    /// An integer that only fits a float.
    Large(f64),
    Float(f64),
    Text,
}

/// Reads a scalar: without a tag, one that is quoted or a block is text.
pub(super) fn read(text: &str, is_plain: bool, tag: Option<Tag>) -> Result<Value, Why> {
    let read = match tag {
        Some(Tag::Binary) => return binary(text).map(Value::String),
        Some(Tag::Str) => Plain::Text,
        None if !is_plain => Plain::Text,
        _ => plain(text)?,
    };
    match (tag, read) {
        (None | Some(Tag::Null), Plain::Null) => Ok(Value::Null),
        (None | Some(Tag::Bool), Plain::Bool(value)) => Ok(value.into()),
        (None | Some(Tag::Int), Plain::Integer(value)) => Ok(value.into()),
        #[expect(clippy::cast_precision_loss, reason = "the tag asks for a float")]
        (Some(Tag::Float), Plain::Integer(value)) => Ok(number(value as f64)),
        (None | Some(Tag::Float), Plain::Float(value)) | (None, Plain::Large(value)) => {
            Ok(number(value))
        }
        (None | Some(Tag::Str), Plain::Text) => Ok(text.into()),
        _ => Err(Why::unclear("the value does not match its tag", "remove the tag")),
    }
}

fn binary(text: &str) -> Result<String, Why> {
    let compact: String = text.chars().filter(|c| *c != '\n').collect();
    let bytes = base64::engine::general_purpose::STANDARD.decode(compact).ok();
    bytes.and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(|| {
        Why::unclear("`!!binary` without base64 of a string", "write the string itself")
    })
}

fn plain(text: &str) -> Result<Plain, Why> {
    Ok(match text {
        "" | "~" | "null" | "Null" | "NULL" => Plain::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            Plain::Bool(true)
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Plain::Bool(false)
        }
        ".nan" | ".NaN" | ".NAN" | ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF"
        | "-.inf" | "-.Inf" | "-.INF" => return Err(no_json(text)),
        _ if text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) => numeric(text)?,
        _ => Plain::Text,
    })
}

fn no_json(text: &str) -> Why {
    Why::unclear(format!("JSON has no number `{text}`"), "quote it")
}

fn numeric(text: &str) -> Result<Plain, Why> {
    let compact = text.replace('_', "");
    let unsigned = compact.strip_prefix(['+', '-']).unwrap_or(&compact);
    if let Some((radix, digits)) = integer(unsigned) {
        return sized(&compact, radix, digits);
    }
    // Without the words for what is no number, which are texts.
    let is_number = unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    let float = compact.parse::<f64>().ok().filter(|_| is_number);
    // Go reads a second sign here, and some underscores after a point; other readers don't.
    if ["0b+", "0b-"].iter().any(|start| compact.starts_with(start))
        || (float.is_some() && text.starts_with('.') && text.contains('_'))
    {
        return Err(Why::unclear("parsers disagree about this number", "quote it"));
    }
    match float {
        Some(value) if value.is_finite() => Ok(Plain::Float(value)),
        Some(_) => Err(no_json(text)),
        None => Ok(Plain::Text),
    }
}

/// The radix and the digits of an integer without sign: Go's prefixes, and a leading zero for octal numbers.
fn integer(unsigned: &str) -> Option<(u32, &str)> {
    let (prefix, rest) = unsigned.split_at_checked(2).unwrap_or_default();
    let (radix, digits) = match prefix {
        "0x" | "0X" => (16, rest),
        "0o" | "0O" => (8, rest),
        "0b" | "0B" => (2, rest),
        _ if unsigned.starts_with('0') => (8, unsigned),
        _ => (10, unsigned),
    };
    (!digits.is_empty() && digits.chars().all(|c| c.is_digit(radix))).then_some((radix, digits))
}

/// An integer by what it fits into. Beyond 64 bits versions of kubectl differ in all but decimal ones.
fn sized(compact: &str, radix: u32, digits: &str) -> Result<Plain, Why> {
    let sign = if compact.starts_with('-') { "-" } else { "" };
    if let Ok(value) = i64::from_str_radix(&format!("{sign}{digits}"), radix) {
        return Ok(Plain::Integer(value));
    }
    let decimal = match radix {
        10 => Some(compact.to_owned()),
        _ if compact.starts_with(['+', '-']) => None,
        _ => u64::from_str_radix(digits, radix).ok().map(|value| value.to_string()),
    };
    match decimal.and_then(|text| text.parse::<f64>().ok()) {
        Some(value) if value.is_finite() => Ok(Plain::Large(value)),
        _ => Err(Why::unclear("an integer of more than 64 bits", "quote it")),
    }
}

/// A finite float as kubectl reads what Go writes: what is written as an integer of 64 bits is one.
fn number(value: f64) -> Value {
    let whole = value.to_string().parse::<i64>().ok();
    whole.map_or_else(|| Number::from_f64(value).map_or(Value::Null, Value::Number), Value::from)
}
