//! 61: a document is what the real kubectl reads from it, or it is refused.

mod grammar;

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use sentry_tests::judge::json::{self, Json};
use sentry_tests::judge::scene::Scene;
use sentry_tests::promise::{cases, kept};
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use grammar::{File, Grammar};

/// Files of one call of kubectl.
const BATCH: usize = 2_000;
/// Read by every call, after all others: kubectl did not stop before.
const LAST: &str = "apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: last}\n";

#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    documents: usize,
    equal: usize,
    /// Files that neither of the two reads.
    refused_by_both: usize,
    /// Documents that kubectl alone reads.
    refused_by_sentry: usize,
    plain: usize,
}

impl Counts {
    fn add(self, other: Self) -> Self {
        Self {
            documents: self.documents + other.documents,
            equal: self.equal + other.equal,
            refused_by_both: self.refused_by_both + other.refused_by_both,
            refused_by_sentry: self.refused_by_sentry + other.refused_by_sentry,
            plain: self.plain + other.plain,
        }
    }
}

#[test]
fn a_document_is_what_kubectl_reads_from_it_or_it_is_refused() {
    let number = cases(1_000_000, 5_000);
    let seed = AtomicU64::new(0);
    let worker = || {
        let mut counts = Counts::default();
        loop {
            let seed = seed.fetch_add(1, Ordering::Relaxed);
            let few = BATCH.min(number);
            if usize::try_from(seed).unwrap() * few >= number {
                return counts;
            }
            counts = counts.add(batch(seed, few));
        }
    };
    let counts = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..2).map(|_| scope.spawn(worker)).collect();
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap())
            .fold(Counts::default(), Counts::add)
    });
    assert!(
        counts.equal > counts.documents / 3 && counts.plain > counts.documents / 8,
        "{counts:?}"
    );
    kept(
        61,
        "",
        &format!(
            "{} documents: {} equal, {} refused by Sentry only, {} files read by neither; {} ordinary ones, none refused; \
             0 silent differences",
            counts.documents,
            counts.equal,
            counts.refused_by_sentry,
            counts.refused_by_both,
            counts.plain
        ),
    );
}

/// Some files, read by both.
fn batch(seed: u64, documents: usize) -> Counts {
    let mut grammar = Grammar::new(seed);
    let (directory, scene) = (tempfile::tempdir().unwrap(), Scene::default());
    let (mut files, mut number) = (Vec::new(), 0);
    while number < documents {
        let file = grammar.file();
        number += file.documents;
        std::fs::write(directory.path().join(format!("f{:06}.yaml", files.len())), &file.text)
            .unwrap();
        files.push(file);
    }
    std::fs::write(directory.path().join("z.yaml"), LAST).unwrap();
    let mut read = by_kubectl(directory.path());
    assert!(read.remove("last").is_some(), "kubectl stopped early");
    let (mut counts, mut serial) = (Counts::default(), 0);
    for file in &files {
        let theirs: Vec<Value> = (serial + 1..=serial + file.documents)
            .filter_map(|serial| read.remove(&format!("n{seed}x{serial}")))
            .collect();
        serial += file.documents;
        counts = counts.add(judge(&scene, file, &theirs));
    }
    assert!(read.is_empty(), "objects of no document: {read:?}");
    counts
}

/// What kubectl reads from the files of a directory, by name. The label that it is told to add is taken away.
fn by_kubectl(directory: &Path) -> HashMap<String, Value> {
    let output = Command::new("kubectl")
        .args(["label", "--local", "judged=yes", "-o", "json", "-f"])
        .arg(directory)
        .env_remove("KUBECONFIG")
        .env("HOME", directory)
        .output()
        .unwrap();
    let (mut objects, text) = (HashMap::new(), &output.stdout);
    let mut ends = serde_json::Deserializer::from_slice(text).into_iter::<IgnoredAny>();
    let mut start = 0;
    while let Some(object) = ends.next() {
        object.unwrap();
        let object = json::read(&text[start..ends.byte_offset()]).unwrap();
        start = ends.byte_offset();
        let object = stripped(value(object));
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        assert!(objects.insert(name, object).is_none(), "two objects of one name");
    }
    objects
}

/// The value, with numbers as exact as they are written.
fn value(json: Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(value) => value.into(),
        Json::Text(text) => text.into(),
        Json::Number(text) => {
            text.parse::<i64>().map_or_else(|_| text.parse::<f64>().unwrap().into(), Value::from)
        }
        Json::List(items) => items.into_iter().map(value).collect(),
        Json::Map(pairs) => {
            Value::Object(pairs.into_iter().map(|(key, json)| (key, value(json))).collect())
        }
    }
}

/// An object without what was added to it: kubectl's label, Sentry's namespace, labels and annotations.
fn stripped(mut object: Value) -> Value {
    let metadata = object["metadata"].as_object_mut().unwrap();
    metadata.remove("namespace");
    for field in ["labels", "annotations"] {
        let own = metadata.get_mut(field).and_then(Value::as_object_mut);
        own.into_iter().for_each(|own| {
            own.retain(|key, _| key != "judged" && !key.starts_with("sentry-gitops.dev/"))
        });
        if metadata.get(field).and_then(Value::as_object).is_some_and(Map::is_empty) {
            metadata.remove(field);
        }
    }
    object
}

fn judge(scene: &Scene, file: &File, theirs: &[Value]) -> Counts {
    let set = scene.prepare(&[("a.yaml", file.text.as_bytes())]);
    let refused: Vec<_> =
        set.refusals().map(|refused| (refused.document, &refused.reason)).collect();
    let told = || format!("{:?}\nkubectl reads {theirs:?}\nrefused {refused:?}", file.text);
    let mut counts = Counts { documents: file.documents, ..Counts::default() };
    for planned in &set.objects {
        let one = stripped(planned.json.clone());
        let name = &one["metadata"]["name"];
        match theirs.iter().find(|other| other["metadata"]["name"] == *name) {
            Some(other) => {
                assert!(same(&one, other), "read as {one}\n{}", told());
                counts.equal += 1;
            }
            // kubectl stops at the first document of a file that it can't read, or before it, if its separator is bad.
            None => {
                let stopped =
                    refused.iter().any(|(document, _)| *document <= planned.object.document + 1);
                assert!(stopped, "kubectl does not read {one}\n{}", told());
            }
        }
    }
    counts.refused_by_sentry = theirs.len() - counts.equal;
    assert!(counts.refused_by_sentry == 0 || !refused.is_empty(), "left out silently\n{}", told());
    if file.is_plain {
        assert!(counts.equal == file.documents, "an ordinary file is refused\n{}", told());
        counts.plain = file.documents;
    }
    counts.refused_by_both = usize::from(theirs.is_empty());
    counts
}

/// Equal as JSON; `-0` is 0.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(a), Value::Number(b)) => match (a.as_i64(), b.as_i64()) {
            (Some(a), Some(b)) => a == b,
            _ => a.as_f64() == b.as_f64(),
        },
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        _ => one == other,
    }
}
