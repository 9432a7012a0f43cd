//! The matchers for what was read, put together as `gobwas/glob` does: which of them are joined decides what matches.

use super::matcher::{Matcher, Tree};
use super::syntax::Node;

/// Makes the matcher of a pattern.
///
/// # Errors
/// If its alternatives can't be put together.
pub(super) fn build(parts: &[Node]) -> Result<Matcher, String> {
    if parts.is_empty() {
        return Ok(Matcher::Nothing);
    }
    Ok(simpler(joined(minimal(each(parts)?))))
}

fn each(nodes: &[Node]) -> Result<Vec<Matcher>, String> {
    nodes.iter().map(|node| matcher(node).map(simpler)).collect()
}

fn matcher(node: &Node) -> Result<Matcher, String> {
    Ok(match node {
        Node::Nothing => Matcher::Nothing,
        Node::Text(text) => Matcher::Text(text.clone()),
        Node::Any | Node::Super => Matcher::Super,
        Node::Single => Matcher::Single,
        Node::List { chars, not } => Matcher::List { chars: chars.chars().collect(), not: *not },
        Node::Range { low, high, not } => Matcher::Range { low: *low, high: *high, not: *not },
        Node::Pattern(parts) => build(parts)?,
        Node::AnyOf(alternatives) => match factored(alternatives)? {
            Some(parts) => build(&parts)?,
            None => Matcher::AnyOf(each(alternatives)?),
        },
    })
}

/// What alternatives have in common at their beginnings and ends, taken out of them. Nothing if that is nothing.
fn factored(alternatives: &[Node]) -> Result<Option<Vec<Node>>, String> {
    let lists: Option<Vec<&[Node]>> = alternatives
        .iter()
        .map(|node| match node {
            Node::Pattern(parts) => Some(parts.as_slice()),
            _ => None,
        })
        .collect();
    let Some(lists) = lists else { return Ok(None) };
    let (left, right) = common(&lists);
    if left == 0 && right == 0 {
        return Ok(None);
    }
    let mut rest: Vec<Node> = Vec::new();
    for list in &lists {
        // The library slices out of range here, too.
        let own = list.get(left..list.len() - right).ok_or("has alternatives that overlap")?;
        let own = if own.is_empty() { Node::Nothing } else { Node::Pattern(own.to_vec()) };
        if !rest.contains(&own) {
            rest.push(own);
        }
    }
    let first = lists[0];
    let mut parts = Vec::new();
    if left > 0 {
        parts.push(Node::Pattern(first[..left].to_vec()));
    }
    match rest.as_slice() {
        [Node::Nothing] => {}
        [_] => parts.append(&mut rest),
        _ => parts.push(Node::AnyOf(rest)),
    }
    if right > 0 {
        parts.push(Node::Pattern(first[first.len() - right..].to_vec()));
    }
    Ok(Some(parts))
}

/// How many parts all lists share at their beginnings and at their ends, counted in from both sides of the shortest.
fn common(lists: &[&[Node]]) -> (usize, usize) {
    let Some((at, shortest)) = lists.iter().enumerate().min_by_key(|(_, list)| list.len()) else {
        return (0, 0);
    };
    let (mut left, mut right) = (0, 0);
    let (mut left_ends, mut right_ends) = (lists.len() < 2, lists.len() < 2);
    for i in 0..shortest.len() {
        if left + right >= shortest.len() || (left_ends && right_ends) {
            break;
        }
        let j = shortest.len() - 1 - i;
        for (k, list) in lists.iter().enumerate() {
            if k == at {
                continue;
            }
            if left_ends && right_ends {
                break;
            }
            left_ends |= shortest[i] != list[i];
            right_ends |= !left_ends && j <= i;
            right_ends |= shortest[j] != list[list.len() - 1 - i];
        }
        left += usize::from(!left_ends);
        right += usize::from(!right_ends);
    }
    (left, right)
}

/// How matchers that stand after each other become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Glue {
    /// By what they let pass.
    Every,
    /// By their lengths.
    Row,
}

/// Which characters a matcher of any or one character does not let pass.
fn stops(matcher: &Matcher) -> Option<&[char]> {
    match matcher {
        Matcher::Super | Matcher::Single => Some(&[]),
        Matcher::List { chars, not: true } => Some(chars),
        _ => None,
    }
}

/// The most matchers from the first on that can be glued, and how; at least two.
fn gluable(matchers: &[Matcher]) -> Option<(usize, Glue)> {
    let first = matchers.first().and_then(stops);
    let every = matchers.iter().take_while(|m| first.is_some() && stops(m) == first).count();
    let row = matchers.iter().take_while(|m| m.length().is_some()).count();
    let (count, glue) = if row > every { (row, Glue::Row) } else { (every, Glue::Every) };
    (count > 1).then_some((count, glue))
}

fn glued(matchers: Vec<Matcher>, glue: Glue) -> Matcher {
    if glue == Glue::Row {
        return Matcher::Row { length: length_of(&matchers), parts: matchers };
    }
    let has_super = matchers.iter().any(|m| matches!(m, Matcher::Super));
    let count = matchers.iter().filter(|m| !matches!(m, Matcher::Super)).count();
    // The stops are looked for as one text, in their order: `[!ab][!ab]` lets `ba` pass.
    let stops: String = matchers.first().and_then(stops).unwrap_or_default().iter().collect();
    match (has_super, count) {
        (true, 0) => Matcher::Super,
        (true, count) => Matcher::AtLeast(count),
        (false, count) => Matcher::Exactly { count, without: (!stops.is_empty()).then_some(stops) },
    }
}

fn length_of(matchers: &[Matcher]) -> usize {
    matchers.iter().filter_map(Matcher::length).sum()
}

/// Glues what can be glued, the most first; a longer row goes before a shorter one.
fn minimal(mut matchers: Vec<Matcher>) -> Vec<Matcher> {
    loop {
        let mut best: Option<(usize, usize, Glue)> = None;
        for start in 0..matchers.len() {
            let Some((count, glue)) = gluable(&matchers[start..]) else { continue };
            let better = best.is_none_or(|(at, most, kind)| {
                let longer = glue == Glue::Row
                    && kind == Glue::Row
                    && length_of(&matchers[start..start + count])
                        > length_of(&matchers[at..at + most]);
                longer || most < count
            });
            if better {
                best = Some((start, count, glue));
            }
        }
        let Some((start, count, glue)) = best else { return matchers };
        let some: Vec<_> = matchers.drain(start..start + count).collect();
        matchers.insert(start, glued(some, glue));
    }
}

/// One matcher for all: the last of the longest ones whose length is known, with what stands before and after it.
fn joined(mut matchers: Vec<Matcher>) -> Matcher {
    if let Some((count, glue)) = gluable(&matchers)
        && count == matchers.len()
    {
        return glued(matchers, glue);
    }
    let known = matchers.iter().enumerate().filter_map(|(i, m)| m.length().map(|l| (l, i)));
    let at = known.max().map_or(0, |(_, i)| i);
    let right = matchers.split_off(at + 1);
    let Some(value) = matchers.pop() else { return Matcher::Nothing };
    if matchers.is_empty() && right.is_empty() {
        return value;
    }
    let side = |list: Vec<Matcher>| (!list.is_empty()).then(|| joined(list));
    Matcher::Tree(Box::new(Tree { value, left: side(matchers), right: side(right) }))
}

/// The plainer matcher that stands for some.
fn simpler(matcher: Matcher) -> Matcher {
    match matcher {
        Matcher::AnyOf(mut matchers) if matchers.len() == 1 => matchers.remove(0),
        Matcher::List { chars, not: false } if chars.len() == 1 => {
            Matcher::Text(chars.into_iter().collect())
        }
        Matcher::Tree(tree) => simpler_tree(*tree),
        other => other,
    }
}

fn simpler_tree(tree: Tree) -> Matcher {
    let (left, right) = (tree.left.map(simpler), tree.right.map(simpler));
    let Matcher::Text(text) = tree.value else {
        return Matcher::Tree(Box::new(Tree { value: tree.value, left, right }));
    };
    match (left, right) {
        (None, None) => Matcher::Text(text),
        (Some(Matcher::Super), Some(Matcher::Super)) => Matcher::Contains(text),
        (Some(Matcher::Super), None) => Matcher::Suffix(text),
        (None, Some(Matcher::Super)) => Matcher::Prefix(text),
        (None, Some(Matcher::Suffix(end))) => Matcher::PrefixSuffix(text, end),
        (Some(Matcher::Prefix(start)), None) => Matcher::PrefixSuffix(start, text),
        (left, right) => Matcher::Tree(Box::new(Tree { value: Matcher::Text(text), left, right })),
    }
}
