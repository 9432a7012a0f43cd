//! What became of pushed commits: the runs that the API server made, counted by commit and document.

use std::collections::BTreeMap;

use crate::road::{PIPELINE, TASK};
use sentry_apiserver::ApiServer;

/// The documents of [`tree`] that make a run.
pub const DOCUMENTS: [&str; 2] = ["first", "second"];

/// One run with a fixed name and one with a generated one, and the Task and Pipeline that they need. Each run carries
/// its commit and its document, so that nothing that Sentry says has to be believed to count them.
#[must_use]
pub fn tree() -> Vec<(&'static str, String)> {
    let run = |name: &str, document: &str| {
        format!(
            "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata: {{{name}, labels: {{document: {document}}}}}\n\
             spec: {{pipelineRef: {{name: suite}}, params: [{{name: sha, value: '{{{{ revision }}}}'}}]}}\n"
        )
    };
    vec![
        (".tekton/a.yaml", run("name: nightly", DOCUMENTS[0])),
        (".tekton/b.yaml", run("generateName: smoke-", DOCUMENTS[1])),
        (".tekton/p.yaml", PIPELINE.to_owned()),
        (".tekton/t.yaml", TASK.to_owned()),
    ]
}

/// How often a run was made for each commit and document of [`tree`].
#[derive(Debug, Default)]
pub struct Tally(BTreeMap<(String, String), usize>);

impl Tally {
    /// Counts what a cluster made.
    ///
    /// # Panics
    /// If a run was made that is not there any more: it can't be counted.
    #[must_use]
    pub fn of(cluster: &ApiServer) -> Self {
        // First, for it goes on meanwhile.
        let created = cluster.creates_of("PipelineRun").len();
        let mut made = BTreeMap::new();
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        for run in cluster.objects_of("PipelineRun") {
            let document = text(&run["metadata"]["labels"]["document"]);
            *made.entry((text(&run["spec"]["params"][0]["value"]), document)).or_default() += 1;
        }
        let there = made.values().sum::<usize>();
        assert!(created <= there, "{created} runs were made and {there} are there");
        Self(made)
    }

    /// How many runs of this commit there are.
    #[must_use]
    pub fn runs_of(&self, commit: &str) -> usize {
        DOCUMENTS.iter().map(|document| self.get(commit, document)).sum()
    }

    /// How many of these commits lack a run.
    #[must_use]
    pub fn lost(&self, commits: &[String]) -> usize {
        let lacks = |commit: &&String| DOCUMENTS.iter().any(|d| self.get(commit, d) == 0);
        commits.iter().filter(lacks).count()
    }

    /// How many runs there are beyond one for each commit and document.
    #[must_use]
    pub fn doubled(&self) -> usize {
        self.0.values().map(|runs| runs - 1).sum()
    }

    fn get(&self, commit: &str, document: &str) -> usize {
        self.0.get(&(commit.to_owned(), document.to_owned())).copied().unwrap_or(0)
    }
}
