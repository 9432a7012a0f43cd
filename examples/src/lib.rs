//! What the examples share: two small git repositories, and words for what a pass delivered.

use std::path::Path;

use sentry_core::engine::Summary;
use sentry_tests::repo::BareRepo;

/// B's only manifest.
pub const RUN: &str = "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata: {name: qa}\n\
                       spec: {params: [{name: revision, value: '{{ revision }}'}]}\n";

/// Makes `a.git` with one commit and `b.git` with a `.tekton` directory below `root`.
pub fn repositories(root: &Path) {
    let (a, b) = (BareRepo::create(root, "a.git"), BareRepo::create(root, "b.git"));
    a.commit("main", &[("README.md", "A")], "first");
    b.commit("main", &[(".tekton/run.yaml", RUN)], "tests");
}

/// One line per object that a pass brought to the cluster.
#[must_use]
pub fn lines(summary: &Summary) -> Vec<String> {
    let line = |d: &sentry_core::delivery::Delivery| {
        let revision = d.revision.to_string();
        let state = d.state.as_str();
        let objects = d.objects.iter().map(move |o| {
            format!("{revision} {state}: {} {} {}", o.action.as_str(), o.object.kind, o.object.name)
        });
        objects.collect::<Vec<_>>()
    };
    summary.deliveries.iter().flat_map(line).collect()
}
