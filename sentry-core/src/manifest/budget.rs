//! How large a plan may become: what is put into runs can make a small tree a large one.

use serde_json::Value;

use super::{MAX_PLAN_BYTES, MAX_PLAN_NODES};

/// How large an object is: as JSON, and in memory, where a small node takes more than its text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    pub(super) bytes: usize,
    nodes: usize,
}

impl Size {
    pub(super) fn of(value: &Value) -> Self {
        Self { bytes: value.to_string().len(), nodes: nodes(value) }
    }
}

fn nodes(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(nodes).sum::<usize>(),
        Value::Object(map) => 1 + map.values().map(|value| 1 + nodes(value)).sum::<usize>(),
        _ => 1,
    }
}

/// What there is still room for.
#[derive(Debug)]
pub(super) struct PlanBudget {
    bytes: usize,
    nodes: usize,
}

impl PlanBudget {
    pub(super) fn new() -> Self {
        Self { bytes: MAX_PLAN_BYTES, nodes: MAX_PLAN_NODES }
    }

    /// Takes room for an object. False if there is not as much: then there is none any more.
    pub(super) fn take(&mut self, size: Size) -> bool {
        let fits = size.bytes <= self.bytes && size.nodes <= self.nodes;
        let left = |own: usize, taken| if fits { own - taken } else { 0 };
        (self.bytes, self.nodes) = (left(self.bytes, size.bytes), left(self.nodes, size.nodes));
        fits
    }
}

/// What to say when there is no room.
pub(super) fn too_large() -> String {
    format!(
        "with everything inlined into the runs, the delivery has more than {} MiB or {MAX_PLAN_NODES} nodes: split the \
         directory, or set `inline: false`",
        MAX_PLAN_BYTES >> 20
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_value_and_every_key_is_a_node() {
        for (value, count) in [
            (json!(1), 1),
            (json!([]), 1),
            (json!({}), 1),
            (json!([1, "a"]), 3),
            (json!({"a": 1}), 3),
            (json!({"a": [1], "b": {}}), 6),
        ] {
            assert_eq!(nodes(&value), count, "{value}");
        }
    }
}
