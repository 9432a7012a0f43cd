//! Watches: each with what `defaults` gives it.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::PathBuf;

use sentry_core::names::{ClusterRef, Namespace, WatchName};
use sentry_core::repo::{BranchName, DirPath, RepoUrl};
use sentry_core::watch::{
    AllowKinds, ForceConflicts, GroupKind, Manifests, ManifestsBranch, OnFirstSight, Refusals,
    ReportMode, Watch,
};

use super::Resolver;
use crate::config::{DeployerConfig, DeployerKind, ForgeConfig};
use crate::place::{At, Place, join};
use crate::raw::{RawCluster, RawDefaults, RawManifests, RawWatch};
use crate::values::{Kinds, Texts};
use crate::words::DeployerWord;

const TEKTON: [&str; 5] = ["Task", "StepAction", "Pipeline", "PipelineRun", "TaskRun"];
pub(super) const REPO_HINT: &str = "write https://host/owner/name";

impl Resolver<'_> {
    /// Every watch; `None` if one has a problem, or if there is none.
    pub(super) fn watches(
        &mut self,
        raw: Option<At<Vec<At<RawWatch>>>>,
        defaults: Option<RawDefaults>,
        forges: &[&ForgeConfig],
    ) -> Option<Vec<Watch>> {
        let hint = "add at least one watch with name, source, manifests and cluster";
        let Some(raw) = raw else {
            self.report.missing(&Place::root(), "watches", hint);
            return None;
        };
        if raw.value.is_empty() {
            self.report.error(&raw.place, "is empty", hint);
        }
        let defaults = defaults.unwrap_or_default();
        let count = raw.value.len();
        let (mut names, mut shown) = (BTreeMap::new(), BTreeMap::new());
        let mut watches = Vec::new();
        for at in raw.value {
            let line = at.place.line;
            if let Some(name) = &at.value.name
                && let Some(first) = names.insert(name.value.clone(), line)
            {
                let message = format!("another watch has this name, on line {first}");
                self.report.error(&name.place, message, "give each watch its own name");
            }
            let context = at.value.report_context.as_ref().or(defaults.report_context.as_ref());
            let context = context.map(|context| context.place.clone());
            let Some(watch) = self.watch(at, &defaults, forges) else { continue };
            if let (Some(place), Some(status)) = (context, status(&watch)) {
                match shown.entry(status) {
                    Entry::Vacant(free) => {
                        free.insert(watch.name.clone());
                    }
                    Entry::Occupied(other) => {
                        let message = format!(
                            "watches {} and {} would overwrite each other's status on the same \
                             commits",
                            other.get(),
                            watch.name
                        );
                        let hint = "include {watch}, or give each watch its own";
                        self.report.error(&place, message, hint);
                    }
                }
            }
            watches.push(watch);
        }
        (watches.len() == count && count > 0).then_some(watches)
    }

    fn watch(
        &mut self,
        at: At<RawWatch>,
        d: &RawDefaults,
        forges: &[&ForgeConfig],
    ) -> Option<Watch> {
        let At { value: raw, place, .. } = at;
        let name: Option<WatchName> = match &raw.name {
            Some(name) => self.parsed(name, "write a short name such as qa-main"),
            None => {
                self.report.missing(&place, "name", "give it a short name such as qa-main");
                None
            }
        };
        let mut raw = raw.or(d);
        let notify = self.hearers(raw.notify.take());
        let (reading, reporting) = (self.reading(&raw), self.reporting(&raw, name.as_ref()));
        let remote = self.remote(&raw);
        let (repo, source) = self.source(raw.source.clone(), d.source.as_ref(), &place, forges);
        let manifests = self.manifests(raw.manifests.clone(), d.manifests.as_ref(), &place, forges);
        if let (Some(source), Some(manifests)) = (&source, &manifests) {
            self.subjects_have_tests(
                source,
                manifests,
                raw.manifests.as_ref().or(d.manifests.as_ref()),
            );
        }
        let cluster = self.cluster(raw.cluster.clone(), d.cluster.as_ref(), &place);
        let timing = self.timing(&raw, repo.as_ref());
        let variables = self.variables(name.as_ref(), raw.variables, d.variables.as_ref());
        Some(Watch {
            name: name?,
            source: source?,
            manifests: manifests?,
            cluster: cluster?,
            force_conflicts: force_conflicts(raw.cluster.as_ref(), d.cluster.as_ref()),
            allow_kinds: allow_kinds(raw.allow_kinds.map(|at| at.value)),
            refusals: raw.refusals.map_or_else(Refusals::default, |at| at.value.0),
            reading: reading?,
            remote: remote?,
            reporting: reporting?,
            notify: notify?,
            on_first_sight: raw.on_first_sight.map_or_else(OnFirstSight::default, |at| at.value.0),
            watch_manifests: raw.watch_manifests.is_some_and(|at| at.value),
            variables: variables?,
            timing: timing?,
        })
    }

    fn manifests(
        &mut self,
        raw: Option<At<RawManifests>>,
        d: Option<&At<RawManifests>>,
        watch: &Place,
        forges: &[&ForgeConfig],
    ) -> Option<Manifests> {
        let (raw, place) = part(raw, watch, "manifests");
        let d = d.map(|at| at.value.clone()).unwrap_or_default();
        let url = self.required(raw.url.or(d.url), &place, "url", REPO_HINT);
        let hint = "write the branch: main, or [\"{source_branch}\", main]";
        let branches = self.required(raw.branch.or(d.branch), &place, "branch", hint);
        let branches = branches.and_then(|at| self.manifests_branches(&at.value));
        let dir = match raw.dir.or(d.dir) {
            Some(at) => self.parsed(&at, "write a directory of the repository: .tekton"),
            None => Some(DirPath::default()),
        };
        let repo: Option<RepoUrl> = url.as_ref().and_then(|url| self.parsed(url, REPO_HINT));
        let forge = raw.forge.or(d.forge);
        let forge = self.forge_of(forge.as_ref(), url.as_ref(), repo.as_ref(), forges);
        Some(Manifests { forge: forge?, repo: repo?, branches: branches?, dir: dir? })
    }

    pub(super) fn required<T>(
        &mut self,
        at: Option<At<T>>,
        parent: &Place,
        key: &str,
        hint: &str,
    ) -> Option<At<T>> {
        if at.is_none() {
            self.report.missing(parent, key, hint);
        }
        at
    }

    fn manifests_branches(&mut self, texts: &Texts) -> Option<Vec<ManifestsBranch>> {
        let hint = "write a branch name, or {source_branch}; globs don't work here";
        let branches: Vec<_> = texts
            .0
            .iter()
            .filter_map(|at| match at.value.as_str() {
                "{source_branch}" => Some(ManifestsBranch::SourceBranch),
                "{target_branch}" => Some(ManifestsBranch::TargetBranch),
                _ => self.parsed::<BranchName>(at, hint).map(ManifestsBranch::Named),
            })
            .collect();
        (branches.len() == texts.0.len()).then_some(branches)
    }

    fn cluster(
        &mut self,
        raw: Option<At<RawCluster>>,
        d: Option<&At<RawCluster>>,
        watch: &Place,
    ) -> Option<ClusterRef> {
        let (raw, place) = part(raw, watch, "cluster");
        let d = d.map(|at| at.value.clone()).unwrap_or_default();
        let hint = "write the namespace for B's runs";
        let written = raw.namespace.or(d.namespace);
        let namespace = self.required(written.clone(), &place, "namespace", hint);
        let namespace: Option<Namespace> = namespace.and_then(|at| {
            if at.value == "tekton-pipelines" {
                let message = "is the namespace of Tekton's own controllers";
                self.report.warn(&at.place, message, "give the runs their own namespace");
            }
            self.parsed(&at, "write a namespace name such as qa")
        });
        let deployer = raw.deployer.or(d.deployer);
        let word = deployer.as_ref().map_or(DeployerWord::Kubectl, |at| at.value.0);
        self.must_be_native(word, deployer.map(|at| at.place), &place);
        let kubectl = raw.kubectl.map(|at| at.value).unwrap_or_default();
        let kubectl_default = d.kubectl.map(|at| at.value).unwrap_or_default();
        let native = raw.native.map(|at| at.value).unwrap_or_default();
        let native_default = d.native.map(|at| at.value).unwrap_or_default();
        let kubeconfig = match word {
            DeployerWord::Kubectl => kubectl.kubeconfig.or(kubectl_default.kubeconfig),
            DeployerWord::Native => native.kubeconfig.or(native_default.kubeconfig),
            DeployerWord::DryRun => None,
        };
        let has_kubeconfig = kubeconfig.is_some() || self.env.kubeconfig_exists;
        if kubeconfig.is_none() {
            written.iter().for_each(|at| self.own_namespace(at));
        }
        let deployer = self.deployer(word, kubectl.path.or(kubectl_default.path), kubeconfig);
        let context = self.context(raw.context.or(d.context), has_kubeconfig);
        Some(ClusterRef { deployer, context, namespace: namespace? })
    }

    /// Where processes share a state, each write to a cluster says what it replaces: only so is one that comes too late
    /// refused. The native deployer alone does.
    fn must_be_native(&mut self, deployer: DeployerWord, written: Option<Place>, cluster: &Place) {
        if !self.is_shared || deployer == DeployerWord::Native {
            return;
        }
        let message =
            format!("is {}, but with `state.postgres` it must be native", deployer.as_str());
        let place = written
            .unwrap_or_else(|| Place { path: join(&cluster.path, "deployer"), ..cluster.clone() });
        let hint = "write `deployer: native`, or keep the state in a directory: `state_dir`";
        self.report.error(&place, message, hint);
    }

    /// What runs in a namespace may mount its Secrets and claims, and run as its accounts.
    pub(super) fn own_namespace(&mut self, namespace: &At<String>) {
        let is_own = self.env.own_namespace.as_ref() == Some(&namespace.value);
        if is_own && !self.env.kubeconfig_exists {
            let message = "is Sentry's own namespace: B's runs could take its tokens, state and \
                           service account";
            self.report.warn(&namespace.place, message, "give Sentry its own namespace");
        }
    }

    /// In a pod without a kubeconfig the in-cluster account is meant, and kubectl must not be given a context.
    fn context(&mut self, context: Option<At<String>>, has_kubeconfig: bool) -> Option<String> {
        let context = context?;
        if self.env.in_cluster && !has_kubeconfig {
            if context.value == "default" {
                return None;
            }
            let message = "is a context, but this pod has no kubeconfig";
            let hint = "mount a kubeconfig, or write `default` for the pod's own account";
            self.report.warn(&context.place, message, hint);
        }
        if context.value.starts_with('-') || context.value.chars().any(char::is_control) {
            let hint = "list the contexts with `kubectl config get-contexts`";
            self.report.error(&context.place, "is not a context name", hint);
        }
        Some(context.value)
    }

    /// The name of the deployer with these settings.
    fn deployer(
        &mut self,
        word: DeployerWord,
        path: Option<At<String>>,
        kubeconfig: Option<At<String>>,
    ) -> String {
        let kubeconfig = kubeconfig.map(|at| self.file(&at));
        let mut name = word.as_str().to_owned();
        let kind = match word {
            DeployerWord::DryRun => DeployerKind::DryRun,
            DeployerWord::Native => DeployerKind::Native { kubeconfig: kubeconfig.clone() },
            DeployerWord::Kubectl => {
                let path = match path {
                    Some(at) if at.value.contains('/') => self.path(&at.value),
                    Some(at) => PathBuf::from(at.value),
                    None => "kubectl".into(),
                };
                if path.as_os_str() != "kubectl" {
                    name = format!("{name}:{}", path.display());
                }
                DeployerKind::Kubectl { path, kubeconfig: kubeconfig.clone() }
            }
        };
        if let Some(kubeconfig) = &kubeconfig {
            name = format!("{name}@{}", kubeconfig.display());
        }
        let deployer = DeployerConfig { name: name.clone(), kind };
        if !self.deployers.contains(&deployer) {
            self.deployers.push(deployer);
        }
        name
    }

    fn variables(
        &mut self,
        watch: Option<&WatchName>,
        own: Option<At<BTreeMap<String, At<String>>>>,
        defaults: Option<&At<BTreeMap<String, At<String>>>>,
    ) -> Option<BTreeMap<String, String>> {
        let mut all = defaults.map(|at| at.value.clone()).unwrap_or_default();
        all.extend(own.into_iter().flat_map(|at| at.value));
        let mut good = true;
        let mut variables = BTreeMap::new();
        for (name, at) in all {
            let word = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
            if name.is_empty() || !name.chars().all(word) {
                good = false;
                let hint = "use letters, digits, `_`, `-` and `.`";
                self.report.error(&at.place, "is not a variable name", hint);
            }
            if let (Some(watch), Some(written)) = (watch, at.written) {
                self.references.insert(
                    format!("{}.variables.{name}", join("watches", watch.as_str())),
                    written,
                );
            }
            variables.insert(name, at.value);
        }
        good.then_some(variables)
    }
}

/// Where a watch shows its statuses, and under which name of its own, if it has one.
fn status(watch: &Watch) -> Option<(RepoUrl, String)> {
    let reporting = &watch.reporting;
    let context = reporting.context.clone().filter(|_| reporting.mode != ReportMode::Off);
    Some((watch.source.repo.clone(), context?))
}

/// A part of a watch with its place; what is left out is looked for at the place it would have.
pub(super) fn part<T: Default>(raw: Option<At<T>>, watch: &Place, key: &str) -> (T, Place) {
    match raw {
        Some(at) => (at.value, at.place),
        None => (T::default(), Place { path: join(&watch.path, key), ..watch.clone() }),
    }
}

/// What a watch's `cluster` says, or else that of `defaults`.
fn force_conflicts(own: Option<&At<RawCluster>>, d: Option<&At<RawCluster>>) -> ForceConflicts {
    let word = [own, d].into_iter().flatten().find_map(|at| at.value.force_conflicts.as_ref());
    word.map_or_else(ForceConflicts::default, |at| at.value.0)
}

fn allow_kinds(kinds: Option<Kinds>) -> AllowKinds {
    match kinds {
        None => AllowKinds::Namespaced,
        Some(Kinds::Tekton) => {
            AllowKinds::Listed(TEKTON.map(|kind| GroupKind::new("tekton.dev", kind)).into())
        }
        Some(Kinds::Listed(kinds)) => AllowKinds::Listed(kinds),
    }
}
