//! What `sentry validate --online` asks: do tokens work, are repositories and branches there, does the lint pass,
//! does the cluster let us in. Nothing is written anywhere.

mod branches;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use sentry_config::{Config, ForgeAuth, PostgresState};
use sentry_core::delivery::Selection;
use sentry_core::deployer::{DeployErrorKind, Probe};
use sentry_core::engine::{Engine, EngineError};
use sentry_core::forge::{ForgeError, ForgeErrorKind};
use sentry_core::names::ClusterRef;
use sentry_core::repo::RepoUrl;
use sentry_core::subject::Subject;
use sentry_core::watch::{GitAuthSecret, ReportMode, Watch};

use super::Context;
use crate::compose::{self, Composition, Place};
use crate::exit::{Exit, Failure};
use crate::json;
use crate::ui::count_of;

/// One question and its answer.
#[derive(Debug)]
pub(crate) struct Check {
    /// What was asked about: a repository, a watch, a cluster.
    pub(crate) subject: String,
    /// What was asked.
    pub(crate) what: String,
    /// The answer.
    pub(crate) detail: String,
    /// How bad it is, if it is.
    pub(crate) problem: Option<Severity>,
    /// What to do about it.
    pub(crate) remedy: Option<String>,
}

/// What kind of trouble a check has found; the worse one is later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Severity {
    /// Something that a person must change.
    Found,
    /// Somebody can't be reached or refuses us.
    Unreachable,
}

impl Check {
    fn fine(subject: &str, what: &str, detail: impl Into<String>) -> Self {
        let (subject, what) = (subject.to_owned(), what.to_owned());
        Self { subject, what, detail: detail.into(), problem: None, remedy: None }
    }

    fn found(subject: &str, what: &str, detail: impl Into<String>, remedy: &str) -> Self {
        let remedy = Some(remedy.to_owned());
        let problem = Some(Severity::Found);
        Self { problem, remedy, ..Self::fine(subject, what, detail) }
    }

    fn forge(subject: &str, what: &str, error: &ForgeError) -> Self {
        let problem = match error.kind() {
            ForgeErrorKind::NoDirectory
            | ForgeErrorKind::NoCommit
            | ForgeErrorKind::TooLarge
            | ForgeErrorKind::OutOfMemory
            | ForgeErrorKind::Unsupported
            | ForgeErrorKind::Local => Severity::Found,
            _ => Severity::Unreachable,
        };
        Self {
            problem: Some(problem),
            remedy: error.hint().map(str::to_owned),
            ..Self::fine(subject, what, sentry_core::error::text(error))
        }
    }

    pub(crate) fn to_json(&self) -> json::CheckJson {
        json::CheckJson {
            check: self.what.clone(),
            subject: self.subject.clone(),
            result: match self.problem {
                None => "ok",
                Some(Severity::Found) => "failed",
                Some(Severity::Unreachable) => "unreachable",
            },
            detail: self.detail.clone(),
            remedy: self.remedy.clone(),
        }
    }
}

/// 3 if somebody can't be reached or refuses us, 1 if a check found something else.
pub(crate) fn exit(checks: &[Check]) -> Exit {
    match checks.iter().filter_map(|c| c.problem).max() {
        None => Exit::Done,
        Some(Severity::Found) => Exit::Failed,
        Some(Severity::Unreachable) => Exit::Unreachable,
    }
}

/// Asks everything that the configuration's watches need. What a repository that can't be read keeps from being checked
/// is left out: the one failure says it all.
pub(crate) async fn checks(ctx: &Context, config: &Config) -> Result<Vec<Check>, Failure> {
    let parts = Composition::new(config.clone(), compose::memory_store(), &ctx.redactor)?;
    let mut checks = Vec::new();
    let mut readable = BTreeMap::new();
    for repository in config.watches.iter().flat_map(repositories) {
        if let Entry::Vacant(unknown) = readable.entry(repository) {
            let rights = rights(&parts, repository.0, repository.1).await;
            unknown.insert(rights.first().is_some_and(|check| check.problem.is_none()));
            checks.extend(rights);
        }
    }
    for watch in &config.watches {
        if repositories(watch).iter().all(|repository| readable[repository]) {
            checks.extend(branches::checks(&parts, watch).await);
        }
    }
    checks.extend(clusters(&parts).await);
    if let Some(postgres) = &config.postgres {
        checks.push(database(ctx, postgres).await);
    }
    Ok(checks)
}

/// Whether the database that keeps the state answers, and whether this version can read what is there.
async fn database(ctx: &Context, postgres: &PostgresState) -> Check {
    let (subject, what) = (postgres.url.as_str(), "state readable");
    match ctx.read(&Place::Postgres(postgres.clone())).await {
        Ok(Some(_)) => Check::fine(subject, what, "it holds a state"),
        Ok(None) => Check::fine(subject, what, "it is empty: the first agent makes the tables"),
        Err(failure) => Check {
            problem: Some(Severity::Unreachable),
            remedy: failure.hint().map(str::to_owned),
            ..Check::fine(subject, what, sentry_core::error::text(&failure))
        },
    }
}

/// A and B, each with its forge.
fn repositories(watch: &Watch) -> [(&String, &RepoUrl); 2] {
    let Watch { source, manifests, .. } = watch;
    [(&source.forge, &source.repo), (&manifests.forge, &manifests.repo)]
}

async fn rights(parts: &Composition, forge: &str, repo: &RepoUrl) -> Vec<Check> {
    let what = "repository readable";
    let rights = match parts.forges[forge].rights(repo).await {
        Ok(rights) => rights,
        Err(error)
            if error.kind() == ForgeErrorKind::Unauthorized && is_anonymous(parts, forge) =>
        {
            let remedy = format!("set `token` of forge {forge}");
            return vec![Check {
                problem: Some(Severity::Unreachable),
                remedy: Some(remedy),
                ..Check::fine(repo.as_str(), what, "requires a token, and none is configured")
            }];
        }
        Err(error) => return vec![Check::forge(repo.as_str(), what, &error)],
    };
    let mut checks = vec![Check::fine(repo.as_str(), what, rights.reading)];
    if let Some(reporting) = rights.reporting {
        checks.extend(Statuses::of(&parts.config, forge, repo).check(repo, reporting));
    }
    checks
}

/// True if the forge is told nothing of who we are, so that it can't have refused it.
fn is_anonymous(parts: &Composition, forge: &str) -> bool {
    let anonymous = |auth: &ForgeAuth| matches!(auth, ForgeAuth::Anonymous);
    parts.config.forge(forge).is_some_and(|forge| anonymous(&forge.auth) && forge.ssh.is_none())
}

/// What is expected of a forge's token besides reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Statuses {
    /// Nothing is shown there.
    Off,
    /// They are shown where the token allows it; deliveries go on without them.
    Welcome,
    /// A token was configured for nothing else.
    Wanted,
}

impl Statuses {
    fn of(config: &Config, forge: &str, repo: &RepoUrl) -> Self {
        let reports = |w: &Watch| w.source.repo == *repo && w.reporting.mode != ReportMode::Off;
        if !config.watches.iter().any(reports) {
            return Self::Off;
        }
        let apart = config.forge(forge).is_some_and(|forge| forge.report_token.is_some());
        if apart { Self::Wanted } else { Self::Welcome }
    }

    fn check(self, repo: &RepoUrl, (may, text): (Option<bool>, String)) -> Option<Check> {
        let (repo, what) = (repo.as_str(), "statuses can be set");
        match (self, may) {
            (Self::Off, _) => None,
            (_, Some(true)) => Some(Check::fine(repo, what, text)),
            (_, None) => Some(Check::fine(repo, what, format!("not known: {text}"))),
            (Self::Wanted, Some(false)) => {
                Some(Check::found(repo, what, "the report token lacks the permission", &text))
            }
            (Self::Welcome, Some(false)) => Some(Check {
                remedy: Some(format!("{text}, or set `report: off`")),
                ..Check::fine(repo, what, "no: the token lacks the permission, so none will be set")
            }),
        }
    }
}

/// Whether B's directory is there and every document in it may run.
async fn documents(engine: &Engine, watch: &Watch, head: &Subject, subject: &str) -> Check {
    let what = "manifests pass lint";
    let selection = Selection::default();
    let preview = match engine.preview(&watch.name, head, None, &selection).await {
        Ok(preview) => preview,
        Err(EngineError::Forge { source, .. }) => return Check::forge(subject, what, &source),
        Err(error) => {
            let remedy = format!("sentry explain {} --branch {head}", watch.name);
            return Check::found(subject, what, sentry_core::error::text(&error), &remedy);
        }
    };
    if let Some(refusal) = preview.set.refusals().next() {
        let all = count_of(preview.set.refusals().count(), "refusal", "refusals");
        let detail = format!("{all}; {}:{}: {}", refusal.path, refusal.line, refusal.reason);
        let remedy = format!("`sentry explain {} --branch {head}` lists all", watch.name);
        return Check::found(subject, what, detail, &remedy);
    }
    if preview.set.objects.is_empty() {
        let detail =
            format!("nothing to run in {} of {}", watch.manifests.dir, watch.manifests.repo);
        return Check::found(subject, what, detail, "fix `dir`, or add manifests to it");
    }
    let objects = count_of(preview.set.objects.len(), "object", "objects");
    match &preview.check {
        Ok(()) => Check::fine(subject, what, format!("{objects} for {head}")),
        // Whether the cluster can be asked at all is a check of its own.
        Err(e) if is_about_objects(e.kind()) => {
            Check::found(subject, what, e.to_string(), e.hint().unwrap_or("fix the manifest"))
        }
        Err(_) => Check::fine(
            subject,
            what,
            format!("{objects} for {head}, not checked against the cluster"),
        ),
    }
}

fn is_about_objects(kind: DeployErrorKind) -> bool {
    use DeployErrorKind::{Conflict, Forbidden, Missing, Refused};
    matches!(kind, Refused | Missing | Conflict | Forbidden)
}

/// Each cluster and namespace once.
async fn clusters(parts: &Composition) -> Vec<Check> {
    let watches = &parts.config.watches;
    let targets: BTreeSet<&ClusterRef> = watches.iter().map(|w| &w.cluster).collect();
    let mut checks = Vec::new();
    for (name, deployer) in &parts.deployers {
        for target in targets.iter().filter(|t| t.deployer == *name) {
            let subject = match &target.context {
                Some(context) => format!("cluster {context}"),
                None => "cluster".to_owned(),
            };
            let lends = watches.iter().any(|watch| {
                watch.cluster == **target && watch.reading.git_auth_secret == GitAuthSecret::PerRun
            });
            match deployer.cluster.probe(target, lends).await {
                Ok(answers) if answers.is_empty() => {
                    checks.push(Check::fine(
                        &subject,
                        "dry run",
                        "nothing is written, no cluster is contacted",
                    ));
                }
                Ok(answers) => checks.extend(cluster(&subject, target, answers)),
                Err(error) => {
                    let remedy =
                        error.hint().unwrap_or("set `deployer: native`, or install kubectl");
                    checks.push(Check::found(&subject, "kubectl", error.to_string(), remedy));
                }
            }
        }
    }
    checks
}

/// Whether the cluster answers, and in one line what may not be done there.
fn cluster(subject: &str, target: &ClusterRef, answers: Vec<Probe>) -> Vec<Check> {
    let mut answers = answers.into_iter();
    let mut checks = Vec::new();
    if let Some(first) = answers.next() {
        checks.push(Check {
            problem: (!first.allowed).then_some(Severity::Unreachable),
            ..Check::fine(subject, &first.what, first.detail)
        });
    }
    let rights: Vec<Probe> = answers.collect();
    let what = format!("rights in namespace {}", target.namespace);
    let (all, denied) = (rights.len(), rights.iter().filter(|right| !right.allowed));
    let denied: Vec<&Probe> = denied.collect();
    if let Some(first) = denied.first() {
        let names = denied.iter().map(|right| right.what.as_str()).collect::<Vec<_>>().join(", ");
        checks.push(Check {
            problem: Some(Severity::Unreachable),
            remedy: Some(first.detail.clone()),
            ..Check::fine(subject, &what, format!("{} of {all} are missing: {names}", denied.len()))
        });
    } else if all > 0 {
        checks.push(Check::fine(subject, &what, format!("all {all} that deliveries need")));
    }
    checks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_right_fails_only_where_a_token_was_given_for_it() {
        let repo = "https://github.com/a/b".parse().unwrap();
        let check = |statuses: Statuses, may| statuses.check(&repo, (may, "grant it".to_owned()));
        assert!(check(Statuses::Off, Some(false)).is_none());
        for (statuses, may, problem, remedy) in [
            (Statuses::Wanted, Some(false), Some(Severity::Found), true),
            (Statuses::Welcome, Some(false), None, true),
            (Statuses::Wanted, Some(true), None, false),
            (Statuses::Wanted, None, None, false),
        ] {
            let check = check(statuses, may).unwrap();
            assert_eq!((check.problem, check.remedy.is_some()), (problem, remedy), "{check:?}");
        }
    }

    #[test]
    fn what_may_not_be_done_on_a_cluster_is_one_line() {
        let target = ClusterRef {
            deployer: "kubectl".into(),
            context: Some("prod".into()),
            namespace: "qa".parse().unwrap(),
        };
        let shown = |allowed: &[bool]| {
            let right = |(n, allowed): (usize, &bool)| Probe {
                what: if n == 0 { "reach the cluster".into() } else { format!("get r{n}") },
                allowed: *allowed,
                detail: format!("detail {n}"),
            };
            let checks =
                cluster("cluster prod", &target, allowed.iter().enumerate().map(right).collect());
            let line = |check: Check| {
                let remedy = check.remedy.map(|remedy| format!(" ({remedy})")).unwrap_or_default();
                let sign = if check.problem.is_some() { "✗" } else { "ok" };
                format!("{sign} {}: {}{remedy}", check.what, check.detail)
            };
            checks.into_iter().map(line).collect::<Vec<_>>().join("\n")
        };
        assert_eq!(shown(&[false]), "✗ reach the cluster: detail 0");
        insta::assert_snapshot!(shown(&[true; 4]), @r"
        ok reach the cluster: detail 0
        ok rights in namespace qa: all 3 that deliveries need
        ");
        insta::assert_snapshot!(shown(&[true, true, false, false]), @r"
        ok reach the cluster: detail 0
        ✗ rights in namespace qa: 2 of 3 are missing: get r2, get r3 (detail 2)
        ");
    }
}
