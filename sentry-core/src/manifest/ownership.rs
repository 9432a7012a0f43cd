//! Marks by which other tools know their objects.

use serde_json::{Map, Value};

/// What such a mark starts with, and whose it is.
const MARKS: &[(&str, &str)] = &[
    ("argocd.argoproj.io/", "Argo CD"),
    ("kustomize.toolkit.fluxcd.io/", "Flux"),
    ("helm.toolkit.fluxcd.io/", "Flux"),
    ("meta.helm.sh/", "Helm"),
];

/// The first mark of another tool, with its owner.
pub(super) fn other_tool(metadata: &Map<String, Value>) -> Option<(&str, &'static str)> {
    let sections = ["labels", "annotations"].into_iter().filter_map(|name| metadata.get(name));
    sections.filter_map(Value::as_object).flat_map(Map::keys).find_map(|key| {
        let (_, tool) = MARKS.iter().find(|(prefix, _)| key.starts_with(prefix))?;
        Some((key.as_str(), *tool))
    })
}
