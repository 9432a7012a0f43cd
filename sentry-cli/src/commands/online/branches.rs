//! Whether the branches of A and of B are there, and if not, which ones may be meant.

use sentry_core::forge::{ForgeError, ForgeErrorKind, HeadList, HeadsAnswer, HeadsQuery};
use sentry_core::repo::RepoUrl;
use sentry_core::subject::Subject;
use sentry_core::watch::{BranchSelector, SubjectSelector, Watch};
use sentry_forge::Probed;

use super::{Check, documents};
use crate::compose::Composition;
use crate::ui::count_of;

/// The watch's branches of A; and for the first of them, B's branch and what of it would run.
pub(super) async fn checks(parts: &Composition, watch: &Watch) -> Vec<Check> {
    let subject = format!("watch {}", watch.name);
    let (mut checks, head) = source(parts, watch, &subject).await;
    if let Some(head) = head {
        let missing = manifests(parts, watch, &head, &subject).await;
        checks.push(match missing {
            Some(missing) => missing,
            None => documents(&parts.engine, watch, &head, &subject).await,
        });
    }
    checks
}

/// The branches and tags of A, and the first one that is watched.
async fn source(
    parts: &Composition,
    watch: &Watch,
    subject: &str,
) -> (Vec<Check>, Option<Subject>) {
    let what = "branches exist";
    let (forge, repo) = (parts.forges[&watch.source.forge].as_ref(), &watch.source.repo);
    let selector = &watch.source.subjects;
    let heads = match heads(forge, repo, selector).await {
        Ok(heads) => heads.heads,
        Err(error) => return (vec![Check::forge(subject, what, &error)], None),
    };
    let watched = || heads.keys().filter(|head| selector.matches(head));
    let first = watched().next().cloned();
    let (tags, branches): (Vec<_>, Vec<_>) = watched().partition(|head| head.tag().is_some());
    let mut checks = Vec::new();
    if let Some(branches_of) = &selector.branches {
        checks.push(branches_exist(forge, watch, branches_of, &branches, subject).await);
    }
    if selector.tags.is_some() {
        // The first one may come yet.
        checks.push(Check::fine(subject, "tags", count_of(tags.len(), "tag", "tags")));
    }
    (checks, first)
}

/// That each pattern for branches has one.
async fn branches_exist(
    forge: &dyn Probed,
    watch: &Watch,
    selector: &BranchSelector,
    branches: &[&Subject],
    subject: &str,
) -> Check {
    let what = "branches exist";
    let only = SubjectSelector::from(selector.clone());
    let (idle, number) = (only.idle(branches), branches.len());
    if !idle.is_empty() {
        let detail = missing(forge, &watch.source.repo, &idle).await;
        Check::found(subject, what, detail, "fix `branches`, or push a matching branch")
    } else if number == 0 {
        let detail = format!("{selector} leaves no branch");
        Check::found(subject, what, detail, "exclude fewer branches in `branches`")
    } else {
        Check::fine(subject, what, count_of(number, "branch", "branches"))
    }
}

/// That B has none of the branches that are wanted for a head of A. Whatever else keeps B from being read is told with
/// its documents.
async fn manifests(
    parts: &Composition,
    watch: &Watch,
    head: &Subject,
    subject: &str,
) -> Option<Check> {
    let (forge, repo) = (parts.forges[&watch.manifests.forge].as_ref(), &watch.manifests.repo);
    let wanted = watch.manifests_branches(head, None);
    let found = heads(forge, repo, &BranchSelector::named(wanted.iter()).into()).await.ok()?;
    if !found.heads.is_empty() {
        return None;
    }
    let names: Vec<&str> = wanted.iter().map(|name| name.as_str()).collect();
    let detail = missing(forge, repo, &names).await;
    let remedy = "fix `manifests.branch`, or create the branch";
    Some(Check::found(subject, "manifests branch exists", detail, remedy))
}

/// That the repository has no such branches, each with the one that may be meant.
async fn missing(forge: &dyn Probed, repo: &RepoUrl, wanted: &[impl AsRef<str>]) -> String {
    let all = all_branches(forge, repo).await;
    let each = wanted.iter().map(|wanted| match &all {
        Ok(all) => with_meant(wanted.as_ref(), all),
        Err(_) => has_no(wanted.as_ref()),
    });
    let text = format!("{repo} {}", each.collect::<Vec<_>>().join("; "));
    match &all {
        Ok(_) => text,
        Err(error) => {
            let error = sentry_core::error::text(error);
            format!("{text}; its branches can't be listed: {error}")
        }
    }
}

/// A pattern matches; a name is had.
fn has_no(wanted: &str) -> String {
    let is_pattern = wanted.contains(['*', '?', '[', '{']);
    let what = if is_pattern { "has no branch that matches" } else { "has no branch" };
    format!("{what} `{wanted}`")
}

/// With the branch that may be meant: what the name ends with behind a remote's name, or what is spelled almost like it.
fn with_meant(wanted: &str, all: &[Subject]) -> String {
    let names = || all.iter().map(Subject::name);
    let behind = |name: &&str| wanted.strip_suffix(*name).is_some_and(|rest| rest.ends_with('/'));
    let slips = |name: &str| strsim::damerau_levenshtein(wanted, name);
    let alike = names().filter(|name| slips(name) <= 2 && slips(name) * 2 < name.len().max(2));
    let meant = names().find(behind).or_else(|| alike.min_by_key(|name| slips(name)));
    let has_no = has_no(wanted);
    match meant {
        Some(name) => format!("{has_no}; did you mean `{name}`?"),
        None => format!("{has_no}, but {}", count_of(all.len(), "other branch", "other branches")),
    }
}

async fn all_branches(forge: &dyn Probed, repo: &RepoUrl) -> Result<Vec<Subject>, ForgeError> {
    let all = BranchSelector::new(["*"]).map_err(|error| {
        ForgeError::new(ForgeErrorKind::Local, sentry_core::error::text(&error))
    })?;
    Ok(heads(forge, repo, &all.into()).await?.heads.into_keys().collect())
}

async fn heads(
    forge: &dyn Probed,
    repo: &RepoUrl,
    subjects: &SubjectSelector,
) -> Result<HeadList, ForgeError> {
    let query = HeadsQuery { repo: repo.clone(), subjects: subjects.clone(), validator: None };
    match forge.heads(std::slice::from_ref(&query)).await.pop().transpose()? {
        Some(HeadsAnswer::Heads(heads)) => Ok(heads),
        _ => Err(ForgeError::new(
            ForgeErrorKind::WrongAnswer,
            format!("{repo}: the forge did not list its branches"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_branch_that_is_not_there_is_told_with_the_one_that_may_be_meant() {
        let all: Vec<Subject> = ["dev", "main", "release/1"]
            .iter()
            .map(|name| Subject::Branch(name.parse().unwrap()))
            .collect();
        for (wanted, meant) in [
            ("mian", Some("main")),
            ("Main", Some("main")),
            ("origin/main", Some("main")),
            ("heads/release/1", Some("release/1")),
            ("releases/1", Some("release/1")),
            ("master", None),
            ("hotfix/*", None),
        ] {
            let text = with_meant(wanted, &all);
            let there =
                text.split_once("; did you mean `").map(|(_, name)| name.trim_end_matches("`?"));
            assert_eq!(there, meant, "{text}");
        }
        assert_eq!(with_meant("x", &all), "has no branch `x`, but 3 other branches");
        assert_eq!(has_no("hotfix/*"), "has no branch that matches `hotfix/*`");
    }
}
