//! What a notice says, as templates and the webhook's data name it.

use sentry_core::notifier::Notice;
use serde::Serialize;

/// The fields; [`sentry_core::notifier::TEMPLATE_FIELDS`] lists them for code that checks templates.
#[derive(Debug, Serialize)]
pub(crate) struct Fields<'a> {
    route: &'static str,
    occasion: &'static str,
    watch: &'a str,
    repo: &'a str,
    branch: String,
    revision: &'a str,
    short_revision: &'a str,
    title: Option<&'a str>,
    author: Option<&'a str>,
    manifests_revision: Option<&'a str>,
    namespace: &'a str,
    delivery: &'a str,
    cause: &'static str,
    asked_by: Option<&'a str>,
    reason: Option<&'a str>,
    attempts: u32,
    runs: Runs,
    failed_runs: Vec<FailedRun<'a>>,
    link: Option<&'a str>,
    at: String,
}

#[derive(Debug, Serialize)]
struct Runs {
    total: u32,
    succeeded: u32,
    failed: u32,
}

#[derive(Debug, Serialize)]
struct FailedRun<'a> {
    name: &'a str,
    reason: Option<&'a str>,
}

impl<'a> Fields<'a> {
    pub(crate) fn of(notice: &'a Notice) -> Self {
        let sha = notice.revision.sha.as_str();
        let (runs, commit) = (notice.failed_runs.iter(), notice.commit.as_ref());
        Self {
            route: notice.route.as_str(),
            occasion: notice.occasion.as_str(),
            watch: notice.watch.as_str(),
            repo: notice.repo.as_str(),
            branch: notice.revision.subject.to_string(),
            revision: sha,
            short_revision: sha.get(..8).unwrap_or(sha),
            title: commit.map(|commit| commit.title.as_str()),
            author: commit.map(|commit| commit.author.as_str()),
            manifests_revision: notice.manifests.as_ref().map(|sha| sha.as_str()),
            namespace: &notice.namespace,
            delivery: notice.delivery.as_str(),
            cause: notice.cause.as_str(),
            asked_by: notice.asked_by.as_deref(),
            reason: notice.reason.as_deref(),
            attempts: notice.attempts,
            runs: Runs {
                total: notice.runs.total,
                succeeded: notice.runs.succeeded,
                failed: notice.runs.failed,
            },
            failed_runs: runs
                .map(|run| FailedRun { name: &run.name, reason: run.reason.as_deref() })
                .collect(),
            link: notice.link.as_deref(),
            at: notice.at.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use sentry_core::notifier::TEMPLATE_FIELDS;
    use sentry_core::testing::sample;

    use super::*;

    #[test]
    fn the_fields_are_those_that_templates_are_checked_against() {
        let facts = serde_json::to_value(Fields::of(&sample::notice(1))).unwrap();
        let names: BTreeSet<&str> = facts.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(names, TEMPLATE_FIELDS.iter().copied().collect());
    }
}
