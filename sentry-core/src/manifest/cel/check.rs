//! What is known of an expression before it is evaluated: as in Pipelines-as-Code, one that names what does not exist
//! has no answer, wherever the name stands.

use cel::common::ast::{CallExpr, EntryExpr, Expr, IdedExpr, LiteralValue};

/// The variables of every expression; `body` and `headers` have no value here.
pub(super) const VARIABLES: &[&str] = &[
    "event",
    "event_type",
    "event_title",
    "target_branch",
    "source_branch",
    "target_url",
    "source_url",
    "files",
    "body",
    "headers",
];

/// The operators and functions that are known.
const FUNCTIONS: &[&str] = &[
    "_?_:_",
    "_&&_",
    "_||_",
    "!_",
    "-_",
    "_+_",
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
    "_[_]",
    "@not_strictly_false",
    "size",
    "contains",
    "startsWith",
    "endsWith",
    "matches",
    "pathChanged",
    "string",
    "int",
    "dyn",
];

/// What the names and texts of an expression say.
#[derive(Debug)]
pub(super) struct Names {
    /// A text in it holds `refs/heads/`: then branches are given with it, as Pipelines-as-Code does for a push.
    pub(super) full_refs: bool,
    /// The first name that is not known.
    pub(super) problem: Option<String>,
}

/// Looks at every name.
pub(super) fn check(expression: &IdedExpr, known: &dyn Fn(&str) -> bool) -> Names {
    let mut full_refs = false;
    let mut problem = None;
    walk(expression, &mut Vec::new(), &mut |expression, scope| match expression {
        Expr::Ident(name) => {
            let name = name.trim_start_matches('.');
            let known = scope.contains(&name) || VARIABLES.contains(&name) || known(name);
            if !known {
                problem.get_or_insert_with(|| format!("there is no variable `{name}`"));
            }
        }
        Expr::Call(CallExpr { func_name, .. }) if !FUNCTIONS.contains(&func_name.as_str()) => {
            problem.get_or_insert_with(|| format!("the function `{func_name}` is not supported"));
        }
        Expr::Literal(LiteralValue::String(text)) => {
            full_refs |= text.inner().contains("refs/heads/");
        }
        Expr::Struct(_) | Expr::Unspecified => {
            problem.get_or_insert_with(|| "it constructs a typed object".to_owned());
        }
        _ => {}
    });
    Names { full_refs, problem }
}

/// Looks at every part, with the names that loops around it gave.
fn walk<'e>(
    expression: &'e IdedExpr,
    scope: &mut Vec<&'e str>,
    look: &mut dyn FnMut(&'e Expr, &[&'e str]),
) {
    look(&expression.expr, scope);
    match &expression.expr {
        Expr::Call(call) => {
            call.target.iter().for_each(|target| walk(target, scope, look));
            call.args.iter().for_each(|arg| walk(arg, scope, look));
        }
        Expr::List(list) => list.elements.iter().for_each(|e| walk(e, scope, look)),
        Expr::Select(select) => walk(&select.operand, scope, look),
        Expr::Map(map) => {
            for entry in &map.entries {
                if let EntryExpr::MapEntry(entry) = &entry.expr {
                    walk(&entry.key, scope, look);
                    walk(&entry.value, scope, look);
                }
            }
        }
        Expr::Comprehension(fold) => {
            walk(&fold.iter_range, scope, look);
            walk(&fold.accu_init, scope, look);
            scope.extend([fold.iter_var.as_str(), fold.accu_var.as_str()]);
            walk(&fold.loop_cond, scope, look);
            walk(&fold.loop_step, scope, look);
            walk(&fold.result, scope, look);
            scope.truncate(scope.len() - 2);
        }
        Expr::Ident(_) | Expr::Literal(_) | Expr::Struct(_) | Expr::Unspecified => {}
    }
}
