//! The evaluation itself, step by step, each paid for.

use std::collections::BTreeMap;
use std::rc::Rc;

use cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue, SelectExpr,
};

use super::super::fuel::Fuel;
use super::super::globs::Globs;
use super::super::selection::Means;
use super::value::{Fault, Outcome, Value, fault, find};
use super::{Facts, Truth, bind::Refusals, functions, patterns::Patterns};

/// What is paid for each value that a list or map holds.
const FOR_ITEM: usize = 4;

/// Evaluates a checked expression; branches are given as it wants them.
///
/// # Errors
/// Why there is no answer.
pub(super) fn answer(
    expression: &IdedExpr,
    facts: &Facts<'_>,
    refusals: &Refusals,
    means: &mut Means<'_>,
) -> Result<Truth, Fault> {
    let Means { fuel, globs } = means;
    let mut run = Evaluation {
        facts,
        globals: globals(facts),
        refusals,
        scope: Vec::new(),
        patterns: Patterns::default(),
        globs,
        fuel,
    };
    match run.value(expression) {
        Ok(Value::Bool(true)) => Ok(Truth::Yes),
        Ok(Value::Bool(false)) => Ok(Truth::No),
        Ok(other) => fault(format!("it is {}, not true or false", other.kind())),
        Err(Fault::Paths) => Ok(Truth::DependsOnPaths),
        Err(Fault::Refused(why)) => Ok(Truth::Refused(why)),
        Err(fault) => Err(fault),
    }
}

fn globals<'a>(facts: &Facts<'a>) -> BTreeMap<&'a str, Value> {
    let own = facts.own.iter().map(|(name, value)| (name.as_str(), Value::text(value)));
    let builtin = [
        ("event", facts.event),
        ("event_type", facts.event),
        ("event_title", facts.title),
        ("target_branch", facts.target_branch),
        ("source_branch", facts.source_branch),
        ("target_url", facts.url),
        ("source_url", facts.url),
    ];
    own.chain(builtin.map(|(name, value)| (name, Value::text(value)))).collect()
}

pub(super) struct Evaluation<'e, 'c> {
    pub(super) facts: &'e Facts<'e>,
    globals: BTreeMap<&'e str, Value>,
    refusals: &'e Refusals,
    /// What loops have named, innermost last. An error is kept as a value: a later item may make it irrelevant.
    scope: Vec<(&'e str, Outcome)>,
    pub(super) patterns: Patterns,
    pub(super) globs: &'e mut Globs<'c>,
    pub(super) fuel: &'e mut Fuel,
}

impl<'e> Evaluation<'e, '_> {
    fn value(&mut self, expression: &'e IdedExpr) -> Outcome {
        self.fuel.spend(1)?;
        match &expression.expr {
            Expr::Literal(literal) => self.literal(literal),
            Expr::Ident(name) => self.variable(name.trim_start_matches('.')),
            Expr::Select(select) => self.select(select),
            Expr::Call(call) => self.call(call),
            Expr::Comprehension(fold) => self.fold(fold),
            Expr::List(list) => {
                self.fuel.spend(list.elements.len() * FOR_ITEM)?;
                let items: Result<_, _> = list.elements.iter().map(|e| self.value(e)).collect();
                Ok(Value::List(Rc::new(items?)))
            }
            Expr::Map(map) => {
                let mut entries = Vec::new();
                for entry in &map.entries {
                    let EntryExpr::MapEntry(entry) = &entry.expr else { continue };
                    self.fuel.spend(FOR_ITEM)?;
                    let (key, value) = (self.value(&entry.key)?, self.value(&entry.value)?);
                    if find(&entries, &key, self.fuel)?.is_some() {
                        return fault("a map has a duplicate key");
                    }
                    entries.push((key, value));
                }
                Ok(Value::Map(Rc::new(entries)))
            }
            Expr::Struct(_) | Expr::Unspecified => fault("it constructs a typed object"),
        }
    }

    fn literal(&mut self, literal: &LiteralValue) -> Outcome {
        Ok(match literal {
            LiteralValue::Null => Value::Null,
            LiteralValue::Boolean(b) => Value::Bool(*b.inner()),
            LiteralValue::Int(i) => Value::Int(*i.inner()),
            LiteralValue::UInt(u) => Value::Uint(*u.inner()),
            LiteralValue::Double(d) => Value::Double(*d.inner()),
            LiteralValue::String(text) => {
                self.fuel.spend(text.inner().len() / 16)?;
                Value::text(text.inner())
            }
            LiteralValue::Bytes(_) => return fault("bytes are not supported"),
        })
    }

    fn variable(&mut self, name: &str) -> Outcome {
        if let Some((_, value)) = self.scope.iter_mut().rev().find(|(own, _)| *own == name) {
            // Only a macro can name its result: a list that grows is handed on, not copied.
            if name.starts_with('@') && matches!(value, Ok(Value::List(_))) {
                return std::mem::replace(value, Ok(Value::Null));
            }
            return value.clone();
        }
        match name {
            "files" => Ok(Value::Files),
            "body" | "headers" => Err(Fault::Payload(format!(
                "`{name}` is part of a webhook's payload, which a watched branch does not have"
            ))),
            _ => match self.globals.get(name) {
                Some(value) => Ok(value.clone()),
                None => match self.refusals.why(name) {
                    Some(why) => Err(Fault::Refused(why.to_owned())),
                    None => fault(format!("there is no variable `{name}`")),
                },
            },
        }
    }

    fn select(&mut self, select: &'e SelectExpr) -> Outcome {
        let operand = self.value(&select.operand)?;
        let found = self.field(&operand, &Value::text(&select.field))?;
        match found {
            _ if select.test => Ok(Value::Bool(found.is_some())),
            Some(value) => Ok(value),
            None => fault(format!("there is no field `{}`", select.field)),
        }
    }

    /// The value under a key of a map, or at a place of a list.
    pub(super) fn field(&mut self, operand: &Value, key: &Value) -> Result<Option<Value>, Fault> {
        match (operand, key) {
            (Value::Map(map), key) => Ok(find(map, key, self.fuel)?.cloned()),
            (Value::Files, Value::Text(field)) => self.files(field),
            (Value::List(items), Value::Int(at)) => {
                let found = usize::try_from(*at).ok().and_then(|at| items.get(at));
                found.map_or_else(
                    || fault(format!("the list has no index {at}")),
                    |v| Ok(Some(v.clone())),
                )
            }
            _ => fault(format!("{} has no fields", operand.kind())),
        }
    }

    /// `files.all` and its like: a forge tells which paths differ, not in which way.
    fn files(&mut self, field: &str) -> Result<Option<Value>, Fault> {
        let part = matches!(field, "added" | "modified" | "deleted" | "renamed");
        if field != "all" && !part {
            return Ok(None);
        }
        match self.facts.changed {
            Some(changed) if !changed.truncated && (!part || changed.paths.is_empty()) => {
                let mut items = Vec::new();
                for path in &changed.paths {
                    self.fuel.spend(FOR_ITEM + path.len() / 16)?;
                    items.push(Value::text(path));
                }
                Ok(Some(Value::List(Rc::new(items))))
            }
            _ => Err(Fault::Paths),
        }
    }

    fn call(&mut self, call: &'e CallExpr) -> Outcome {
        match (call.func_name.as_str(), call.args.as_slice()) {
            ("_&&_", [left, right]) => self.logic(left, right, false),
            ("_||_", [left, right]) => self.logic(left, right, true),
            ("_?_:_", [condition, yes, no]) => {
                let chosen = if self.truth(condition)? { yes } else { no };
                self.value(chosen)
            }
            ("@not_strictly_false", [condition]) => match self.value(condition) {
                Err(Fault::Exhausted) => Err(Fault::Exhausted),
                outcome => Ok(Value::Bool(!matches!(outcome, Ok(Value::Bool(false))))),
            },
            (name, args) => {
                let mut values = Vec::with_capacity(args.len() + 1);
                for arg in call.target.as_deref().into_iter().chain(args) {
                    values.push(self.value(arg)?);
                }
                functions::call(self, name, values)
            }
        }
    }

    fn truth(&mut self, expression: &'e IdedExpr) -> Result<bool, Fault> {
        match self.value(expression)? {
            Value::Bool(b) => Ok(b),
            other => fault(format!("{} is used as a condition", other.kind())),
        }
    }

    /// `&&` and `||`: the value that decides alone (`decides`) wins over an error on the other side.
    fn logic(&mut self, left: &'e IdedExpr, right: &'e IdedExpr, decides: bool) -> Outcome {
        let left = self.truth(left);
        if left == Err(Fault::Exhausted) || left == Ok(decides) {
            return left.map(Value::Bool);
        }
        let right = self.truth(right);
        match (left, right) {
            (_, Ok(b)) if b == decides => Ok(Value::Bool(b)),
            (_, Err(Fault::Exhausted)) => Err(Fault::Exhausted),
            (Ok(_), right) => right.map(Value::Bool),
            (Err(fault), Ok(_)) => Err(fault),
            // Whatever the paths are, `&&` with an error is no "yes"; with `||` they may make it one.
            (Err(Fault::Paths), Err(other)) | (Err(other), Err(Fault::Paths)) => {
                Err(if decides { Fault::Paths } else { other })
            }
            // What is wrong or over a limit is told before what is only missing.
            (Err(Fault::Payload(_)), Err(other)) => Err(other),
            (Err(fault), Err(_)) => Err(fault),
        }
    }

    /// A macro's loop: `exists`, `all`, `map`, `filter`, `exists_one`.
    fn fold(&mut self, fold: &'e ComprehensionExpr) -> Outcome {
        let items = match self.value(&fold.iter_range)? {
            Value::List(items) => items,
            Value::Map(map) => Rc::new(map.iter().map(|(key, _)| key.clone()).collect()),
            other => return fault(format!("{} can't be iterated over", other.kind())),
        };
        let start = self.value(&fold.accu_init)?;
        self.scope.push((&fold.accu_var, Ok(start)));
        let outcome = self.items(fold, &items);
        self.scope.pop();
        outcome
    }

    /// The loop over the items; the result so far is on top of the scope.
    fn items(&mut self, fold: &'e ComprehensionExpr, items: &[Value]) -> Outcome {
        for item in items {
            if !self.truth(&fold.loop_cond)? {
                break;
            }
            self.scope.push((&fold.iter_var, Ok(item.clone())));
            let step = self.value(&fold.loop_step);
            self.scope.pop();
            if matches!(step, Err(Fault::Exhausted)) {
                return step;
            }
            if let Some((_, result)) = self.scope.last_mut() {
                *result = step;
            }
        }
        self.value(&fold.result)
    }
}
