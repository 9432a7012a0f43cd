//! What `sentry validate --online` asks: do tokens work, are repositories and branches there, does the lint pass,
//! does the cluster let us in. Nothing is written anywhere.

use std::collections::BTreeSet;

use sentry_config::Config;
use sentry_core::delivery::Selection;
use sentry_core::deployer::DeployErrorKind;
use sentry_core::engine::{Engine, EngineError};
use sentry_core::forge::{ForgeError, ForgeErrorKind, HeadList, HeadsAnswer, HeadsQuery};
use sentry_core::names::ClusterRef;
use sentry_core::repo::RepoUrl;
use sentry_core::subject::Subject;
use sentry_core::watch::{BranchSelector, GitAuthSecret, ReportMode, Watch};
use sentry_forge::Probed;

use super::Context;
use crate::compose::{self, Composition};
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

/// Asks everything that the configuration's watches need.
pub(crate) async fn checks(ctx: &Context, config: &Config) -> Result<Vec<Check>, Failure> {
    let parts = Composition::new(config.clone(), compose::memory_store(), &ctx.redactor)?;
    let mut checks = Vec::new();
    let mut asked = BTreeSet::new();
    for watch in &config.watches {
        for (forge, repo) in [
            (&watch.source.forge, &watch.source.repo),
            (&watch.manifests.forge, &watch.manifests.repo),
        ] {
            if asked.insert((forge.clone(), repo.clone())) {
                let statuses = Statuses::of(config, forge, repo);
                checks.extend(rights(parts.forges[forge].as_ref(), repo, statuses).await);
            }
        }
    }
    for watch in &config.watches {
        checks.extend(branches(&parts, watch).await);
    }
    checks.extend(clusters(&parts).await);
    Ok(checks)
}

async fn rights(forge: &dyn Probed, repo: &RepoUrl, statuses: Statuses) -> Vec<Check> {
    let what = "repository readable";
    let rights = match forge.rights(repo).await {
        Ok(rights) => rights,
        Err(error) => return vec![Check::forge(repo.as_str(), what, &error)],
    };
    let mut checks = vec![Check::fine(repo.as_str(), what, rights.reading)];
    if let Some(reporting) = rights.reporting {
        checks.extend(statuses.check(repo, reporting));
    }
    checks
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

/// The watch's branches of A; and for the first of them, what of B would run.
async fn branches(parts: &Composition, watch: &Watch) -> Vec<Check> {
    let (subject, what) = (format!("watch {}", watch.name), "branches exist");
    let selector = &watch.source.branches;
    let forge = parts.forges[&watch.source.forge].as_ref();
    let heads = match heads(forge, &watch.source.repo, selector).await {
        Ok(heads) => heads,
        Err(error) => return vec![Check::forge(&subject, what, &error)],
    };
    let watched: Vec<_> = heads.heads.keys().filter(|head| watch.source.selects(head)).collect();
    let idle = selector.idle(&heads.heads.keys().collect::<Vec<_>>());
    let mut checks = Vec::new();
    if !idle.is_empty() {
        let remedy = "fix `branches`, or push a matching branch";
        let detail = match all_branches(forge, &watch.source.repo).await {
            Ok(all) => {
                let each = idle.iter().map(|pattern| matches_nothing(pattern, &all));
                each.collect::<Vec<_>>().join("; ")
            }
            Err(error) => {
                let error = sentry_core::error::text(&error);
                format!(
                    "no branch matches {}; can't list the repository's branches: {error}",
                    idle.join(", ")
                )
            }
        };
        checks.push(Check::found(&subject, what, detail, remedy));
    } else if watched.is_empty() {
        let detail = format!("{selector} leaves no branch");
        checks.push(Check::found(&subject, what, detail, "exclude fewer branches in `branches`"));
    } else {
        checks.push(Check::fine(&subject, what, count_of(watched.len(), "branch", "branches")));
    }
    if let Some(branch) = watched.first() {
        checks.push(documents(&parts.engine, watch, branch, &subject).await);
    }
    checks
}

async fn all_branches(forge: &dyn Probed, repo: &RepoUrl) -> Result<Vec<Subject>, ForgeError> {
    let all = BranchSelector::new(["*"]).map_err(|error| {
        ForgeError::new(ForgeErrorKind::Local, sentry_core::error::text(&error))
    })?;
    Ok(heads(forge, repo, &all).await?.heads.into_keys().collect())
}

/// That a pattern matches no branch, and the one that may be meant: what it ends with behind a remote's name, or what is
/// spelled almost like it.
fn matches_nothing(pattern: &str, all: &[Subject]) -> String {
    let names = || all.iter().map(Subject::name);
    let behind = |name: &&str| pattern.strip_suffix(*name).is_some_and(|rest| rest.ends_with('/'));
    let slips = |name: &str| strsim::damerau_levenshtein(pattern, name);
    let alike = names().filter(|name| slips(name) <= 2 && slips(name) * 2 < name.len().max(2));
    let meant = names().find(behind).or_else(|| alike.min_by_key(|name| slips(name)));
    match meant {
        Some(name) => format!("no branch matches `{pattern}`; did you mean `{name}`?"),
        None => format!(
            "no branch matches `{pattern}`; the repository has {}",
            count_of(all.len(), "branch", "branches")
        ),
    }
}

async fn heads(
    forge: &dyn Probed,
    repo: &RepoUrl,
    branches: &BranchSelector,
) -> Result<HeadList, ForgeError> {
    let query = HeadsQuery { repo: repo.clone(), branches: branches.clone(), validator: None };
    match forge.heads(std::slice::from_ref(&query)).await.pop().transpose()? {
        Some(HeadsAnswer::Heads(heads)) => Ok(heads),
        _ => Err(ForgeError::new(
            ForgeErrorKind::WrongAnswer,
            format!("{repo}: the forge did not list its branches"),
        )),
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
            let subject = format!("cluster {target}");
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
                Ok(answers) => checks.extend(answers.into_iter().map(|answer| Check {
                    problem: (!answer.allowed).then_some(Severity::Unreachable),
                    ..Check::fine(&subject, &answer.what, answer.detail)
                })),
                Err(error) => {
                    let remedy =
                        error.hint().unwrap_or("install kubectl, or set its path in `kubectl`");
                    checks.push(Check::found(&subject, "kubectl", error.to_string(), remedy));
                }
            }
        }
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
    fn a_pattern_that_matches_nothing_is_told_with_the_branch_that_may_be_meant() {
        let all: Vec<Subject> = ["dev", "main", "release/1"]
            .iter()
            .map(|name| Subject::Branch(name.parse().unwrap()))
            .collect();
        for (pattern, meant) in [
            ("mian", Some("main")),
            ("Main", Some("main")),
            ("origin/main", Some("main")),
            ("heads/release/1", Some("release/1")),
            ("releases/1", Some("release/1")),
            ("master", None),
            ("hotfix/*", None),
        ] {
            let text = matches_nothing(pattern, &all);
            let there =
                text.split_once("; did you mean `").map(|(_, name)| name.trim_end_matches("`?"));
            assert_eq!(there, meant, "{text}");
        }
        assert_eq!(
            matches_nothing("x", &all),
            "no branch matches `x`; the repository has 3 branches"
        );
    }
}
