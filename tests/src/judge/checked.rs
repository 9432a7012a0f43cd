//! Whether what is checked is what is sent: documents go the whole way to kubectl's stdin, and what kubectl would read
//! there is compared with what was planned.

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;

use sentry_core::deployer::Deployer as _;
use sentry_core::manifest::ManifestSet;
use sentry_core::secret::Redactor;
use sentry_deploy::{Kubectl, KubectlSettings};
use sentry_process::Output;
use sentry_process::stage::{Call, Stage};

use super::scene::Scene;
use super::sent::{self, Sent};

/// A deployer whose kubectl is on a stage. One for a thread.
#[derive(Debug)]
pub struct Checked {
    scene: Scene,
    kubectl: Kubectl,
    runtime: tokio::runtime::Runtime,
    calls: Rc<RefCell<Vec<Seen>>>,
    _stage: Stage,
}

/// A call that brought objects.
#[derive(Debug)]
struct Seen {
    dry: bool,
    namespace: String,
    objects: Result<Vec<Sent>, String>,
}

impl Default for Checked {
    fn default() -> Self {
        Self::new(Scene::default())
    }
}

impl Checked {
    /// One for documents of this scene.
    ///
    /// # Panics
    /// If there is no directory for temporary files.
    pub fn new(scene: Scene) -> Self {
        let calls = Rc::new(RefCell::new(Vec::new()));
        let stage = Stage::new({
            let calls = Rc::clone(&calls);
            move |call| answer(call, &mut calls.borrow_mut())
        });
        let mut settings = KubectlSettings::new(Redactor::new());
        settings.path = PathBuf::from("kubectl");
        let kubectl = Kubectl::new(settings).expect("a temporary directory");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        Self { scene, kubectl, runtime: runtime.expect("a runtime"), calls, _stage: stage }
    }

    /// What becomes of these files.
    pub fn prepare(&self, files: &[(&str, &[u8])]) -> ManifestSet {
        self.scene.prepare(files)
    }

    /// Sends what was let through; how many objects that were.
    ///
    /// # Errors
    /// How what was sent differs from what was planned.
    pub fn send(&self, set: ManifestSet) -> Result<usize, String> {
        let planned: Result<Vec<Sent>, String> = set.objects.iter().map(Sent::planned).collect();
        let mut planned = planned?;
        planned.sort();
        if planned.is_empty() {
            return Ok(0);
        }
        let plan = self.scene.plan(set);
        let carried = self.runtime.block_on(async {
            let checked =
                self.kubectl.check(&plan).await.map_err(|e| format!("the check failed: {e}"))?;
            if let Some((_, error)) = checked.refused.first() {
                return Err(format!("the check refused: {error}"));
            }
            self.kubectl.apply(&plan, &checked).await.map_err(|e| format!("the apply failed: {e}"))
        });
        let calls = self.calls.take();
        for dry in [true, false] {
            let mut received = Vec::new();
            for call in calls.iter().filter(|call| call.dry == dry) {
                for object in call.objects.clone()? {
                    let own = [call.namespace.as_str(), ""].contains(&object.namespace.as_str());
                    if !own {
                        return Err(format!("{object:?} in a call for {}", call.namespace));
                    }
                    received.push(object);
                }
            }
            received.sort();
            if received != planned {
                return Err(format!("planned {planned:?}, sent {received:?} (dry run: {dry})"));
            }
        }
        match carried?.is_complete() {
            true => Ok(planned.len()),
            false => Err(format!("not every object was taken for sent: {planned:?}")),
        }
    }
}

/// What kubectl would say.
fn answer(call: &Call, calls: &mut Vec<Seen>) -> Output {
    let has = |word: &str| call.args.iter().any(|arg| arg.to_str() == Some(word));
    if has("version") {
        return Output::of(0, r#"{"clientVersion":{"minor":"32"}}"#, "");
    }
    if !(has("apply") || has("create")) {
        return Output::of(0, "", "");
    }
    let option = |name: &str| call.args.iter().find_map(|arg| arg.to_str()?.strip_prefix(name));
    let objects = sent::objects(&call.stdin);
    let lines = |sent: &Vec<Sent>| sent.iter().map(|one| one.line() + " done\n").collect();
    let stdout: String = match &objects {
        Ok(_) if has("json") => r#"{"items":[]}"#.to_owned(),
        Ok(sent) => lines(sent),
        Err(_) => String::new(),
    };
    let namespace = option("--namespace=").unwrap_or_default().to_owned();
    let code = i32::from(objects.is_err());
    calls.push(Seen { dry: has("--dry-run=server"), namespace, objects });
    Output::of(code, stdout, if code == 0 { "" } else { "error: not to be read" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_of_every_sort_are_sent_as_they_were_planned() {
        let checked = Checked::default();
        let set = checked.prepare(&[(
            "a.yaml",
            b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n---\n\
              apiVersion: tekton.dev/v1\nkind: TaskRun\nmetadata: {generateName: b-}\nspec: {}\n",
        )]);
        assert_eq!(checked.send(set), Ok(2));
    }

    #[test]
    fn an_object_that_is_not_what_was_planned_is_seen() {
        let checked = Checked::default();
        let file = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";
        for (field, value) in [("kind", "Secret"), ("item\u{17f}", "x"), ("Kind", "Secret")] {
            let mut set = checked.prepare(&[("a.yaml", file)]);
            set.objects[0].json[field] = value.into();
            assert!(checked.send(set).is_err(), "{field}");
        }
    }
}
