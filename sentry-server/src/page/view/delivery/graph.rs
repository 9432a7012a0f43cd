//! The tasks of a run as a drawing: who waits for whom, from left to right. Pure geometry, in the drawing's own units.

use std::collections::{BTreeMap, BTreeSet};

use askama::Template;

use super::super::{Tone, Words};
use super::runs::TaskLine;

/// The size of a box, and the room between boxes.
const BOX: (usize, usize) = (178, 46);
const GAP: (usize, usize) = (26, 10);
/// Around all of it: the ring of a focused box must not be cut.
const EDGE: usize = 8;
/// So many boxes stand in one column; a layer with more has several, in a frame that the lines lead to.
const TALL: usize = 10;
/// Between a frame and what it holds.
const FRAME: usize = 6;
/// So much of a name fits a box, in narrow characters.
const NAME: usize = 16;

/// A drawing of tasks.
#[derive(Debug, Template)]
#[template(path = "part/graph.html")]
pub(crate) struct Graph {
    nodes: Vec<Node>,
    /// Around layers of several columns: place and size.
    frames: Vec<[usize; 4]>,
    /// The lines between them, as one path.
    edges: String,
    /// Where the tasks that run at the end begin.
    last: Option<usize>,
    width: usize,
    height: usize,
    /// What is drawn, in words.
    about: String,
    id: String,
}

#[derive(Debug, PartialEq, Eq)]
struct Node {
    x: usize,
    y: usize,
    tone: Tone,
    /// What fits, and the whole.
    name: String,
    title: String,
    below: String,
}

impl Graph {
    /// Of tasks in their pipeline's order; `None` where there is nothing to see that a list does not say.
    pub(super) fn new(words: Words, id: String, tasks: &[TaskLine]) -> Option<Self> {
        if tasks.len() < 2 {
            return None;
        }
        let before = predecessors(tasks);
        let layers = layers(tasks, &before);
        let columns: Vec<&[usize]> = layers.iter().flat_map(|layer| layer.chunks(TALL)).collect();
        let tallest = columns.iter().map(|column| column.len()).max().unwrap_or_default();
        let height = tallest * (BOX.1 + GAP.1) - GAP.1 + 2 * EDGE;
        let mut at = vec![(0, 0); tasks.len()];
        for (n, column) in columns.iter().enumerate() {
            // Each column stands in the middle.
            let top = (tallest - column.len()) * (BOX.1 + GAP.1) / 2 + EDGE;
            for (row, task) in column.iter().enumerate() {
                at[*task] = (EDGE + n * (BOX.0 + GAP.0), top + row * (BOX.1 + GAP.1));
            }
        }
        let ends = ends(&layers, &at);
        let nodes = tasks.iter().zip(&at).map(|(task, (x, y))| Node::new(task, *x, *y));
        let nodes = nodes.collect();
        let first = tasks.iter().zip(&at).filter(|(task, _)| task.is_finally);
        let last =
            first.map(|(_, (x, _))| x.saturating_sub(GAP.0 / 2)).min().filter(|x| *x > BOX.0);
        Some(Self {
            nodes,
            frames: layers.iter().filter_map(|layer| frame(layer, &at)).collect(),
            edges: edges(&before, &ends),
            last,
            width: columns.len() * (BOX.0 + GAP.0) - GAP.0 + 2 * EDGE,
            height,
            about: words.count("graph", tasks.len()),
            id,
        })
    }
}

impl Node {
    fn new(task: &TaskLine, x: usize, y: usize) -> Self {
        let below = match &task.time {
            Some(time) => format!("{} · {time}", task.state.word),
            None => task.state.word.clone(),
        };
        let title = format!("{}: {below}", task.name);
        Self { x, y, tone: task.state.tone, name: fitting(&task.name), title, below }
    }
}

/// The beginning of a name that fits its box: what is not Latin is about twice as wide.
fn fitting(name: &str) -> String {
    let mut left = NAME;
    for (at, c) in name.char_indices() {
        let wide = if c.is_ascii() { 1 } else { 2 };
        if wide > left {
            return format!("{}…", &name[..at]);
        }
        left -= wide;
    }
    name.to_owned()
}

/// Of each task those it waits for directly: who is waited for by way of another is left out.
fn predecessors(tasks: &[TaskLine]) -> Vec<Vec<usize>> {
    let mut named = BTreeMap::<&str, Vec<usize>>::new();
    for (n, task) in tasks.iter().enumerate() {
        named.entry(task.name.as_str()).or_default().push(n);
    }
    let of = |task: &TaskLine| -> Vec<usize> {
        task.after.iter().filter_map(|name| named.get(name.as_str())).flatten().copied().collect()
    };
    let all: Vec<Vec<usize>> = tasks.iter().map(of).collect();
    let depth = depths(&all);
    let ancestors = ancestors(&all, &depth);
    let direct = |n: usize| {
        let mine = &all[n];
        let by_another = |task: &usize| mine.iter().any(|other| ancestors[*other][*task]);
        mine.iter().copied().filter(|task| !by_another(task)).collect()
    };
    (0..tasks.len()).map(direct).collect()
}

/// How long the longest way to each is. A circle, which no pipeline has, ends after as many steps as there are tasks.
fn depths(before: &[Vec<usize>]) -> Vec<usize> {
    let mut depths = vec![0; before.len()];
    for _ in 0..before.len() {
        let mut changed = false;
        for (n, these) in before.iter().enumerate() {
            let depth = these.iter().map(|task| depths[*task] + 1).max().unwrap_or_default();
            let depth = depth.min(before.len());
            changed |= depth > depths[n];
            depths[n] = depths[n].max(depth);
        }
        if !changed {
            break;
        }
    }
    depths
}

/// Of each task all that end before it, as flags.
fn ancestors(before: &[Vec<usize>], depths: &[usize]) -> Vec<Vec<bool>> {
    let mut order: Vec<usize> = (0..before.len()).collect();
    order.sort_by_key(|n| depths[*n]);
    let mut all = vec![vec![false; before.len()]; before.len()];
    for n in order {
        let mut mine = vec![false; before.len()];
        for task in &before[n] {
            mine[*task] = true;
            mine.iter_mut().zip(&all[*task]).for_each(|(mine, theirs)| *mine |= theirs);
        }
        all[n] = mine;
    }
    all
}

/// The tasks of each layer, from top to bottom: near those they wait for. What runs at the end stands at the end.
fn layers(tasks: &[TaskLine], before: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut depths = depths(before);
    let deepest = tasks.iter().zip(&depths).filter(|(task, _)| !task.is_finally);
    let end = deepest.map(|(_, depth)| depth + 1).max().unwrap_or_default();
    for (task, depth) in tasks.iter().zip(&mut depths) {
        *depth += if task.is_finally { end } else { 0 };
    }
    let mut layers = BTreeMap::<usize, Vec<usize>>::new();
    for (n, depth) in depths.iter().enumerate() {
        layers.entry(*depth).or_default().push(n);
    }
    let mut rows = vec![0; tasks.len()];
    let mut layers: Vec<Vec<usize>> = layers.into_values().collect();
    for layer in &mut layers {
        let middle = |n: &usize| {
            let sum: usize = before[*n].iter().map(|task| rows[*task]).sum();
            sum * 100 / before[*n].len().max(1)
        };
        layer.sort_by_key(|n| (middle(n), *n));
        let tall = layer.len();
        for (row, n) in layer.iter().enumerate() {
            // From the middle: columns of any height are compared.
            rows[*n] = 1000 + 2 * row - tall;
        }
    }
    layers
}

/// The frame of a layer of several columns: place and size.
fn frame(layer: &[usize], at: &[(usize, usize)]) -> Option<[usize; 4]> {
    let left = layer.iter().map(|n| at[*n].0).min().filter(|_| layer.len() > TALL)?;
    let (top, right, bottom) = layer.iter().fold((usize::MAX, 0, 0), |(top, right, bottom), n| {
        let (x, y) = at[*n];
        (top.min(y), right.max(x + BOX.0), bottom.max(y + BOX.1))
    });
    let size = [right - left + 2 * FRAME, bottom - top + 2 * FRAME];
    Some([left - FRAME, top - FRAME, size[0], size[1]])
}

/// Where lines end that lead to each task, and where those begin that lead on: at its box, or at the frame around it.
fn ends(layers: &[Vec<usize>], at: &[(usize, usize)]) -> Vec<[(usize, usize); 2]> {
    let middle = |(x, y): &(usize, usize)| [(*x, y + BOX.1 / 2), (x + BOX.0, y + BOX.1 / 2)];
    let mut ends: Vec<_> = at.iter().map(middle).collect();
    for layer in layers {
        let Some([x, y, width, height]) = frame(layer, at) else { continue };
        for n in layer {
            ends[*n] = [(x, y + height / 2), (x + width, y + height / 2)];
        }
    }
    ends
}

/// A curve from the right of one end to the left of another, each once.
fn edges(before: &[Vec<usize>], ends: &[[(usize, usize); 2]]) -> String {
    let of = |(n, these): (usize, &Vec<usize>)| -> Vec<_> {
        these.iter().map(|task| (ends[*task][1], ends[n][0])).collect()
    };
    let lines: BTreeSet<_> = before.iter().enumerate().flat_map(of).collect();
    let bend = GAP.0 / 2;
    let curve = |((from_x, from_y), (to_x, to_y)): ((usize, usize), (usize, usize))| {
        let (left, right) = (from_x + bend, to_x.saturating_sub(bend));
        format!("M{from_x} {from_y}C{left} {from_y} {right} {to_y} {to_x} {to_y}")
    };
    lines.into_iter().map(curve).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::sample;
    use super::*;

    fn task(name: &str, after: &[&str], finally: bool) -> TaskLine {
        let task = json!({"task": name, "state": "succeeded", "after": after, "finally": finally});
        TaskLine::new(&sample::reader(), &serde_json::from_value(task).unwrap(), true)
    }

    fn drawn(tasks: &[TaskLine]) -> Vec<(usize, usize)> {
        let graph = Graph::new(Words::default(), "graph-0".to_owned(), tasks).unwrap();
        let place = |node: &Node| ((node.x - EDGE) / (BOX.0 + GAP.0), node.y);
        graph.nodes.iter().map(place).collect()
    }

    #[test]
    fn a_task_stands_right_of_all_it_waits_for_and_what_runs_at_the_end_at_the_end() {
        let tasks = [
            task("report", &[], true),
            task("clone", &[], false),
            task("unit", &["clone"], false),
            task("lint", &["clone"], false),
            task("image", &["unit", "lint", "clone"], false),
        ];
        let columns: Vec<usize> = drawn(&tasks).into_iter().map(|(column, _)| column).collect();
        assert_eq!(columns, [3, 0, 1, 1, 2]);
        let graph = Graph::new(Words::default(), String::new(), &tasks).unwrap();
        assert_eq!(graph.edges.matches('M').count(), 4, "what follows from others is not drawn");
        assert!(graph.last.unwrap() > graph.nodes[4].x && graph.last.unwrap() < graph.nodes[0].x);
        assert_eq!(graph.about, "5 tasks, drawn from left to right");
    }

    #[test]
    fn boxes_never_overlap_and_a_wide_layer_stands_in_several_columns() {
        let mut tasks = vec![task("start", &[], false)];
        tasks.extend((0..70).map(|n| task(&format!("t{n}"), &["start"], false)));
        let mut places = drawn(&tasks);
        assert_eq!(places.iter().map(|(column, _)| column).max(), Some(&7));
        places.sort_unstable();
        places.dedup();
        assert_eq!(places.len(), 71);
        let graph = Graph::new(Words::default(), String::new(), &tasks).unwrap();
        assert_eq!((graph.frames.len(), graph.edges.matches('M').count()), (1, 1));
    }

    #[test]
    fn a_circle_and_an_unknown_name_are_drawn_and_one_task_is_not() {
        let circle = [task("a", &["b"], false), task("b", &["a"], false)];
        assert_eq!(drawn(&circle).len(), 2);
        assert_eq!(drawn(&[task("a", &["gone"], false), task("b", &[], false)]).len(), 2);
        let only_at_the_end = [task("a", &[], true), task("b", &[], true)];
        let graph = Graph::new(Words::default(), String::new(), &only_at_the_end).unwrap();
        assert_eq!((graph.nodes.len(), graph.last), (2, None));
        assert!(Graph::new(Words::default(), String::new(), &circle[..1]).is_none());
        assert!(Graph::new(Words::default(), String::new(), &[]).is_none());
    }

    #[test]
    fn a_long_name_is_cut_where_its_box_ends() {
        assert_eq!(fitting("unit-tests"), "unit-tests");
        assert_eq!(fitting(&"a".repeat(30)), format!("{}…", "a".repeat(NAME)));
        assert_eq!(fitting(&"测".repeat(30)), format!("{}…", "测".repeat(NAME / 2)));
    }
}
