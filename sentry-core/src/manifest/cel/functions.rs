//! Operators and functions over values that are there.

use std::cmp::Ordering;
use std::rc::Rc;

use super::super::globs::Trouble;
use super::eval::Evaluation;
use super::value::{Fault, Outcome, Value, fault, find};

pub(super) fn call(run: &mut Evaluation<'_, '_>, name: &str, mut values: Vec<Value>) -> Outcome {
    if let [left, right] = values.as_mut_slice() {
        let (left, right) =
            (std::mem::replace(left, Value::Null), std::mem::replace(right, Value::Null));
        return two(run, name, left, &right);
    }
    let [value] = values.as_slice() else { return unknown(name, &values) };
    match (name, value) {
        ("!_", Value::Bool(b)) => Ok(Value::Bool(!b)),
        ("-_", Value::Int(i)) => checked(i.checked_neg()),
        ("-_", Value::Double(d)) => Ok(Value::Double(-d)),
        ("dyn", value) => Ok(value.clone()),
        ("size", Value::Text(text)) => {
            run.fuel.spend(text.len() / 16)?;
            count(text.chars().count())
        }
        ("size", Value::List(items)) => count(items.len()),
        ("size", Value::Map(map)) => count(map.len()),
        ("string", Value::Text(_)) | ("int", Value::Int(_)) => Ok(value.clone()),
        ("string", Value::Bool(b)) => Ok(Value::text(&b.to_string())),
        ("string", Value::Int(i)) => Ok(Value::text(&i.to_string())),
        ("string", Value::Uint(u)) => Ok(Value::text(&u.to_string())),
        ("int", Value::Uint(u)) => checked(i64::try_from(*u).ok()),
        ("int", Value::Text(text)) => match text.parse() {
            Ok(i) => Ok(Value::Int(i)),
            Err(_) => fault("the string is not a number"),
        },
        ("pathChanged", Value::Text(pattern)) => path_changed(run, pattern),
        _ => unknown(name, &values),
    }
}

fn unknown(name: &str, values: &[Value]) -> Outcome {
    let kinds: Vec<_> = values.iter().map(Value::kind).collect();
    fault(format!("`{}` does not take {}", name.trim_matches(['_', '@']), kinds.join(" and ")))
}

fn count(number: usize) -> Outcome {
    checked(i64::try_from(number).ok())
}

fn checked(number: Option<i64>) -> Outcome {
    number.map_or_else(|| fault("a number is too large"), |i| Ok(Value::Int(i)))
}

fn two(run: &mut Evaluation<'_, '_>, name: &str, left: Value, right: &Value) -> Outcome {
    match name {
        "_==_" => return left.equals(right, run.fuel).map(Value::Bool),
        "_!=_" => return left.equals(right, run.fuel).map(|same| Value::Bool(!same)),
        "_<_" | "_<=_" | "_>_" | "_>=_" => {
            let order = left.compare(right, run.fuel)?;
            return Ok(Value::Bool(match name {
                "_<_" => order == Ordering::Less,
                "_<=_" => order != Ordering::Greater,
                "_>_" => order == Ordering::Greater,
                _ => order != Ordering::Less,
            }));
        }
        "_[_]" => {
            return run.field(&left, right)?.map_or_else(|| fault("there is no such key"), Ok);
        }
        "@in" => return within(run, &left, right).map(Value::Bool),
        _ => {}
    }
    match (left, right) {
        (Value::Text(left), Value::Text(right)) => texts(run, name, &left, right),
        (Value::List(left), Value::List(right)) if name == "_+_" => {
            let mut items = Rc::try_unwrap(left)
                .or_else(|shared| run.fuel.spend(shared.len() * 4).map(|()| shared.to_vec()))?;
            run.fuel.spend(right.len() * 4)?;
            items.extend(right.iter().cloned());
            Ok(Value::List(Rc::new(items)))
        }
        (Value::Int(left), Value::Int(right)) => checked(match name {
            "_+_" => left.checked_add(*right),
            "_-_" => left.checked_sub(*right),
            "_*_" => left.checked_mul(*right),
            "_/_" => left.checked_div(*right),
            "_%_" => left.checked_rem(*right),
            _ => return unknown(name, &[Value::Int(left), Value::Int(*right)]),
        }),
        (left, right) => unknown(name, &[left, right.clone()]),
    }
}

fn texts(run: &mut Evaluation<'_, '_>, name: &str, left: &Rc<str>, right: &Rc<str>) -> Outcome {
    run.fuel.spend((left.len() + right.len()) / 8)?;
    Ok(match name {
        "_+_" => Value::text(&[&**left, &**right].concat()),
        "contains" => Value::Bool(left.contains(&**right)),
        "startsWith" => Value::Bool(left.starts_with(&**right)),
        "endsWith" => Value::Bool(left.ends_with(&**right)),
        "matches" => Value::Bool(run.patterns.matches(right, left, run.fuel)?),
        _ => return unknown(name, &[Value::Text(Rc::clone(left)), Value::Text(Rc::clone(right))]),
    })
}

fn within(run: &mut Evaluation<'_, '_>, item: &Value, range: &Value) -> Result<bool, Fault> {
    match range {
        Value::List(items) => {
            for own in items.iter() {
                if own.equals(item, run.fuel)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        Value::Map(map) => Ok(find(map, item, run.fuel)?.is_some()),
        Value::Files => Ok(run.field(range, item)?.is_some()),
        other => fault(format!("{} is not a container", other.kind())),
    }
}

/// `"glob".pathChanged()`: the pattern is compared as it is, without `refs/heads/`.
fn path_changed(run: &mut Evaluation<'_, '_>, pattern: &str) -> Outcome {
    run.facts.changed.filter(|changed| !changed.truncated).ok_or(Fault::Paths)?;
    match run.globs.path_as_it_is(pattern, run.fuel) {
        Ok(found) => Ok(Value::Bool(found)),
        Err(Trouble::Exhausted) => Err(Fault::Exhausted),
        Err(Trouble::Broken(problem)) => fault(format!("correct the pattern: {problem}")),
    }
}
