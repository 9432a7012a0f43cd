//! The values of variables in an expression that was read: each becomes a part of the text it stands in, and never of
//! the expression or of a pattern.

use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue};

use super::super::marked::Marked;

/// Variables of expressions whose value a pusher of A chooses.
const CHOSEN_OUTSIDE: &[&str] = &["event_title", "source_branch", "target_branch", "files"];

/// Functions whose answer is no text.
const NO_TEXT: &[&str] = &[
    "!_",
    "-_",
    "_&&_",
    "_||_",
    "_-_",
    "_*_",
    "_/_",
    "_%_",
    "_==_",
    "_!=_",
    "_<_",
    "_<=_",
    "_>_",
    "_>=_",
    "@in",
    "@not_strictly_false",
    "size",
    "contains",
    "startsWith",
    "endsWith",
    "matches",
    "pathChanged",
    "int",
];

/// What a part that may not be evaluated is replaced by; no expression can hold such a name.
const REFUSED: &str = "@refused";

/// Why parts of an expression may not be evaluated.
#[derive(Debug, Default)]
pub(super) struct Refusals(Vec<String>);

impl Refusals {
    /// Why the part that a name stands for may not be evaluated.
    pub(super) fn why(&self, name: &str) -> Option<&str> {
        let number = name.strip_prefix(REFUSED)?.parse::<usize>().ok()?;
        self.0.get(number).map(String::as_str)
    }
}

/// Puts the values in. What can't hold one is left out, and refused where it decides.
pub(super) fn bind(expression: &mut IdedExpr, marked: &Marked) -> Refusals {
    let mut binding = Binding { marked, refusals: Refusals::default(), scope: Vec::new() };
    binding.bind(expression);
    binding.refusals
}

struct Binding<'m> {
    marked: &'m Marked,
    refusals: Refusals,
    /// What loops have named, innermost last, and whether it may hold a text that a pusher chose.
    scope: Vec<(String, bool)>,
}

impl Binding<'_> {
    fn refused(&mut self, why: String) -> Expr {
        self.refusals.0.push(why);
        Expr::Ident(format!("{REFUSED}{}", self.refusals.0.len() - 1))
    }

    /// True if the part may give a text that somebody chose, in whole or in part.
    fn bind(&mut self, part: &mut IdedExpr) -> bool {
        let outcome = match &mut part.expr {
            Expr::Literal(LiteralValue::String(text)) if self.marked.is_in(text.inner()) => {
                *text = self.marked.filled(text.inner()).into();
                Ok(true)
            }
            Expr::Ident(name) => self.name(name),
            Expr::Call(call) => self.call(call),
            Expr::Select(select) => Ok(self.bind(&mut select.operand)),
            Expr::List(list) => Ok(self.all(&mut list.elements)),
            Expr::Map(map) => Ok(map.entries.iter_mut().fold(false, |any, entry| {
                let EntryExpr::MapEntry(entry) = &mut entry.expr else { return any };
                any | self.bind(&mut entry.key) | self.bind(&mut entry.value)
            })),
            Expr::Comprehension(fold) => Ok(self.fold(fold)),
            Expr::Literal(_) | Expr::Struct(_) | Expr::Unspecified => Ok(false),
        };
        outcome.unwrap_or_else(|why| {
            part.expr = self.refused(why);
            false
        })
    }

    fn all(&mut self, parts: &mut [IdedExpr]) -> bool {
        parts.iter_mut().fold(false, |any, part| any | self.bind(part))
    }

    fn name(&self, name: &str) -> Result<bool, String> {
        if let Some(variable) = self.marked.variable(name) {
            return Err(format!(
                "`{{{{ {variable} }}}}` outside quotes would become part of the expression: write \
                 it in quotes, \"{{{{ {variable} }}}}\""
            ));
        }
        let own = self.scope.iter().rev().find(|(own, _)| own == name);
        Ok(own.map_or_else(|| CHOSEN_OUTSIDE.contains(&name), |(_, chosen)| *chosen))
    }

    fn call(&mut self, call: &mut CallExpr) -> Result<bool, String> {
        let target = call.target.as_deref_mut();
        let mut operands: Vec<_> = target.into_iter().chain(&mut call.args).collect();
        let pattern = match call.func_name.as_str() {
            "pathChanged" => Some(0),
            "matches" => operands.len().checked_sub(1),
            _ => None,
        };
        let mut chosen = false;
        for (index, operand) in operands.iter_mut().enumerate() {
            if pattern == Some(index) {
                self.pattern(operand, &call.func_name)?;
            } else {
                chosen |= self.bind(operand);
            }
        }
        Ok(chosen && !NO_TEXT.contains(&call.func_name.as_str()))
    }

    /// A pattern is a program of its own: a value in it stands for itself, and none is made of values.
    fn pattern(&mut self, operand: &mut IdedExpr, function: &str) -> Result<(), String> {
        if let Expr::Literal(LiteralValue::String(text)) = &mut operand.expr {
            let literal = if function == "matches" { of_regex } else { of_glob };
            *text = self.marked.pattern(text.inner(), literal)?.into();
            return Ok(());
        }
        if self.bind(operand) {
            return Err(format!(
                "the pattern of `{function}` contains a value that a pusher chooses: write it as \
                 one string, or compare with `==`, `startsWith` or `contains`"
            ));
        }
        Ok(())
    }

    fn fold(&mut self, fold: &mut ComprehensionExpr) -> bool {
        let (items, start) = (self.bind(&mut fold.iter_range), self.bind(&mut fold.accu_init));
        let depth = self.scope.len();
        self.scope.push((fold.accu_var.clone(), start));
        self.scope.push((fold.iter_var.clone(), items));
        self.scope.extend(fold.iter_var2.iter().map(|second| (second.clone(), items)));
        self.bind(&mut fold.loop_cond);
        let step = self.bind(&mut fold.loop_step);
        self.scope.truncate(depth + 1);
        self.scope[depth].1 |= step;
        let result = self.bind(&mut fold.result);
        self.scope.truncate(depth);
        result
    }
}

fn of_regex(value: &str) -> String {
    format!("(?:{})", regex::escape(value))
}

/// A text as a glob that matches it alone.
pub(in super::super) fn of_glob(value: &str) -> String {
    let meaning = |c: char| "*?[]{}!,\\-^".contains(c);
    value.chars().flat_map(|c| meaning(c).then_some('\\').into_iter().chain([c])).collect()
}
