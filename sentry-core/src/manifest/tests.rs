//! The way from files to decisions and objects, case by case.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::json;

use super::*;
use crate::forge::{RefusedEntry, Tree, TreeFile};
use crate::watch::{
    AllowKinds, BranchSelector, ClusterRef, Manifests, ManifestsBranch, OnFirstSight, Refusals,
    Source, Timing,
};

const SHA: &str = "1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d";

/// All that a [`Context`] borrows.
pub(super) struct Scene {
    watch: Watch,
    revision: Revision,
    delivery: DeliveryId,
    trigger: Option<DeliveryId>,
    branch: BranchName,
    manifests: CommitSha,
    sender: Option<&'static str>,
    kinds: Option<KindTable>,
}

impl Default for Scene {
    fn default() -> Self {
        let watch = Watch {
            name: "web".parse().unwrap(),
            source: Source {
                forge: "github".into(),
                repo: "https://github.com/Acme/Web.git".parse().unwrap(),
                branches: BranchSelector::new(["main"]).unwrap(),
            },
            manifests: Manifests {
                forge: "github".into(),
                repo: "https://github.com/acme/deploy".parse().unwrap(),
                branches: vec![ManifestsBranch::SourceBranch],
                dir: ".tekton".parse().unwrap(),
            },
            cluster: ClusterRef {
                deployer: "kubectl".into(),
                context: None,
                namespace: "qa".parse().unwrap(),
            },
            allow_kinds: AllowKinds::Namespaced,
            refusals: Refusals::Strict,
            on_first_sight: OnFirstSight::Record,
            watch_manifests: false,
            variables: BTreeMap::from([("env".into(), "stage".into())]),
            timing: Timing::default(),
        };
        Self {
            watch,
            revision: Revision {
                branch: "release/1.0".parse().unwrap(),
                sha: SHA.parse().unwrap(),
            },
            delivery: "01jdq0000000000000000000aa".parse().unwrap(),
            trigger: None,
            branch: "main".parse().unwrap(),
            manifests: "b".repeat(40).parse().unwrap(),
            sender: Some("ada"),
            kinds: None,
        }
    }
}

impl Scene {
    pub(super) fn context(&self) -> Context<'_> {
        Context {
            watch: &self.watch,
            revision: &self.revision,
            delivery: &self.delivery,
            trigger: self.trigger.as_ref(),
            manifests_branch: &self.branch,
            manifests: &self.manifests,
            sender: self.sender,
            kinds: self.kinds.as_ref(),
        }
    }

    fn prepare(&self, text: &str) -> ManifestSet {
        prepare(&parse(&tree([("a.yaml", text.as_bytes())])), &self.context())
    }

    fn files(&self, files: &[(&str, &str)]) -> ManifestSet {
        let files = files.iter().map(|(path, text)| (*path, text.as_bytes()));
        prepare(&parse(&tree(files)), &self.context())
    }
}

pub(super) fn tree<'f>(files: impl IntoIterator<Item = (&'f str, &'f [u8])>) -> Tree {
    let files = files
        .into_iter()
        .map(|(path, bytes)| TreeFile { path: path.to_owned(), bytes: bytes.to_vec() })
        .collect();
    Tree { commit: SHA.parse().unwrap(), files, refused: Vec::new() }
}

fn prepared(text: &str) -> ManifestSet {
    Scene::default().prepare(text)
}

/// A ConfigMap whose `data.x` is the given YAML, as it would be sent.
fn scalar(yaml: &str) -> Result<Value, String> {
    let set = prepared(&format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\ndata: {{x: {yaml}}}\n"
    ));
    match set.objects.first() {
        Some(planned) => Ok(planned.json["data"]["x"].clone()),
        None => Err(set.decisions[0].reason.clone()),
    }
}

/// One line per decision: `path#document line:column decision kind/name`.
fn summary(set: &ManifestSet) -> String {
    set.decisions.iter().fold(String::new(), |mut text, d| {
        writeln!(text, "{}#{} {} {}", d.path, d.document, d.line, d.decision.as_str()).unwrap();
        text
    })
}

const RUN: &str = "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata: {generateName: qa-}\n";

#[test]
fn scratch() {
    for yaml in [
        "0755",
        "0o14",
        "0x1F",
        "1_000",
        "0b11",
        "on",
        "y",
        "n",
        "yes",
        "~",
        "1.0",
        "1.5",
        "1e3",
        "-0.0",
        "123456789012345678901234567890",
        "18446744073709551615",
        "9223372036854775808",
        ".nan",
        ".inf",
        "2024-01-01",
        "1:30",
        "0789",
        "!!str 12",
        "!foo x",
        "!!binary aGk=",
        "'1'",
        "1.",
        ".5",
        "1e400",
        "+1",
        "-1",
        "0",
        "00",
        "08",
        "1e21",
        "1e30",
        "{on: 1}",
        "{1: 2}",
        "{y: 1}",
        "{~: 1}",
        "{1.0: 2}",
        "{{ revision }}",
        "[a, {{ revision }}]",
        "{a: 1, a: 2}",
        "{0xB: 1, 11: 2}",
        "{<<: {a: 1}, b: 2}",
        "{? [a] : b}",
        "{true: 1}",
        "\"\\x1b[31m\"",
        "null",
        "Null",
        "0.1",
        "1e-7",
        "1__0",
        "_1",
        "0x_1",
        "12e03",
        "-0755",
        "TRUE",
        "True",
        "tRue",
        "=",
        "0o8",
        "1.2.3",
        "+.inf",
        "0.0",
        "10e2",
        "4e",
        "-",
        "0xg",
        "1,000",
        "1 000",
    ] {
        println!(
            "{yaml:40} {}",
            match scalar(yaml) {
                Ok(v) => v.to_string(),
                Err(e) => format!("ERR {e}"),
            }
        );
    }
    for text in [
        "a: [1, 2\n",
        "a: 1\n b: 2\n",
        "\ta: 1\n",
        "a: 'x\n",
        "a: 1\n...\nb: 2\n",
        "%YAML 1.1\n---\na: 1\n",
        "x: &a [1]\ny: *b\n",
        "x: &a [*a]\n",
        "name: {{ repo_name }}-x\n",
        "a: 1\n---#x\nb: 2\n",
        "{\"a\":1}{\"b\":2}",
        "- a\n- b\n",
        "text\n",
        "",
        "# only\n",
        "---\n---\n",
        "a: 1\r---\rb: 2\r",
        "key: {{ .Values.x }}\n{{- end }}\n",
        "a: b: c\n",
        "@x: 1\n",
        "a: `x`\n",
        "a: %x\n",
        "\u{0}",
        "a: \"\\q\"",
        "a: *\n",
        "<<: 1\n",
        "a: {{ revision }}\nb: 1\n",
        "m:\n  - {{ revision }}\n",
    ] {
        let set = prepared(text);
        for d in &set.decisions {
            println!(
                "{text:?}\n   {}#{} {}:{:?} {:?} {}",
                d.path, d.document, d.line, d.column, d.decision, d.reason
            );
        }
    }
}
