//! A watch's rules: how documents are read, how verdicts are shown, how often and how long.

use std::collections::BTreeSet;
use std::time::Duration;

use sentry_core::names::WatchName;
use sentry_core::remote::{self, RemoteRules, RemoteTasks};
use sentry_core::repo::RepoUrl;
use sentry_core::watch::{
    GitAuthSecret, NamespacePolicy, NothingRan, Reading, ReportMode, Reporting, Timing,
};
use url::Url;

use super::Resolver;
use crate::place::{At, Place};
use crate::raw::RawWatch;
use crate::read::nearest_hint;
use crate::values::{Namespaces, SecretName, Span};

const SHORTEST: Duration = Duration::from_secs(60);
/// What a status's link may hold: core fills it.
const IN_LINK: [&str; 6] =
    ["{watch}", "{delivery}", "{branch}", "{revision}", "{namespace}", "{run}"];
/// What the address of a run may hold: the page fills it.
const IN_DASHBOARD: [&str; 3] = ["{namespace}", "{kind}", "{run}"];
/// A run in Tekton's Dashboard, below its address:
/// <https://github.com/tektoncd/dashboard/blob/main/packages/utils/src/utils/router.js>.
const IN_TEKTON_DASHBOARD: &str = "#/namespaces/{namespace}/{kind}/{run}";
/// A delivery on Sentry's own page.
const DELIVERY_PAGE: &str = "deliveries/{delivery}";
/// The longest context that is taken, in characters. GitHub and GitLab cut or refuse more than 255, and the name of a
/// run may be added.
const LONGEST_CONTEXT: usize = 150;

impl Resolver<'_> {
    pub(super) fn reading(&mut self, raw: &RawWatch) -> Option<Reading> {
        let standard = Reading::default();
        let policy = match &raw.namespace_policy {
            Some(at) => self.namespace_policy(&at.value)?,
            None => standard.namespace_policy,
        };
        Some(Reading {
            namespace_policy: policy,
            inline: raw.inline.as_ref().map_or(standard.inline, |at| at.value),
            allow_missing_refs: raw
                .allow_missing_refs
                .as_ref()
                .map_or(standard.allow_missing_refs, |at| at.value),
            unannotated: raw.unannotated.as_ref().map_or(standard.unannotated, |at| at.value.0),
            git_auth_secret: match raw.git_auth_secret.as_ref().map(|at| &at.value) {
                Some(SecretName::Named(name)) => GitAuthSecret::Named(name.clone()),
                Some(SecretName::PerRun) => GitAuthSecret::PerRun,
                None => standard.git_auth_secret,
            },
            unknown_fields: raw
                .unknown_fields
                .as_ref()
                .map_or(standard.unknown_fields, |at| at.value.0),
        })
    }

    pub(super) fn remote(&mut self, raw: &RawWatch) -> Option<RemoteRules> {
        let tasks = raw.remote_tasks.as_ref().map_or_else(RemoteTasks::default, |at| at.value.0);
        let hub = raw.remote_hub.as_ref().map(|at| self.place_of(&at.place, &at.value, true));
        let hosts = raw.remote_hosts.iter().flat_map(|at| &at.value.0);
        let hosts: Vec<_> = hosts.map(|at| self.place_of(&at.place, &at.value, false)).collect();
        let hosts: Option<BTreeSet<String>> =
            hosts.into_iter().map(|url| url.map(|url| remote::origin(&url))).collect();
        Some(RemoteRules {
            tasks,
            hub: hub.map_or(Some(None), |hub| hub.map(Some))?,
            hosts: hosts?,
        })
    }

    /// A place that documents may be fetched from.
    fn place_of(&mut self, place: &Place, text: &str, may_have_path: bool) -> Option<Url> {
        let hint = if may_have_path {
            "write the hub's address: https://hub.example.com"
        } else {
            "write a host: tasks.example.com, tasks.example.com:8443 or http://10.0.0.5"
        };
        let is_bare = |url: &Url| may_have_path || matches!(url.path(), "" | "/");
        let url = remote::place(text).and_then(|url| {
            if is_bare(&url) { Ok(url) } else { Err("has a path: a host is allowed as a whole") }
        });
        url.map_err(|what| self.report.error(place, what, hint)).ok()
    }

    fn namespace_policy(&mut self, raw: &Namespaces) -> Option<NamespacePolicy> {
        let listed = match raw {
            Namespaces::Refuse => return Some(NamespacePolicy::Refuse),
            Namespaces::Override => return Some(NamespacePolicy::Override),
            Namespaces::Listed(listed) => listed,
        };
        listed.iter().for_each(|at| self.own_namespace(at));
        let hint = "write a namespace name such as qa-data";
        let names: Vec<_> = listed.iter().map(|at| self.parsed(at, hint)).collect();
        names.into_iter().collect::<Option<BTreeSet<_>>>().map(NamespacePolicy::Listed)
    }

    pub(super) fn reporting(
        &mut self,
        raw: &RawWatch,
        watch: Option<&WatchName>,
    ) -> Option<Reporting> {
        let mode = raw.report.as_ref().map_or_else(ReportMode::default, |at| at.value.0);
        let detail = raw.report_detail.as_ref().map(|at| at.value.0);
        let when_nothing_runs =
            raw.when_nothing_runs.as_ref().map_or_else(NothingRan::default, |at| at.value.0);
        let context = raw.report_context.as_ref().map(|at| self.report_context(at, watch));
        let link = raw.report_link.as_ref().map(|at| {
            let example = "https://tekton.example.com/{namespace}/{run}";
            self.link_template(at, &IN_LINK, example)
        });
        let dashboard = raw.dashboard_url.as_ref().map(|at| self.dashboard(at));
        for (key, at) in [
            ("report_context", &raw.report_context),
            ("report_link", &raw.report_link),
            ("dashboard_url", &raw.dashboard_url),
        ] {
            if let (Some(watch), Some(written)) =
                (watch, at.as_ref().and_then(|at| at.written.clone()))
            {
                self.references.insert(format!("watches.{watch}.{key}"), written);
            }
        }
        if [&context, &link, &dashboard].iter().any(|text| matches!(text, Some(None))) {
            return None;
        }
        let own_page = || self.public_url.as_ref().map(|url| format!("{url}/{DELIVERY_PAGE}"));
        let link = link.flatten().or_else(own_page);
        let (context, dashboard) = (context.flatten(), dashboard.flatten());
        Some(Reporting { mode, detail, when_nothing_runs, context, link, dashboard })
    }

    fn report_context(&mut self, at: &At<String>, watch: Option<&WatchName>) -> Option<String> {
        self.placeholders(at, &["{watch}"]).then_some(())?;
        // Without a name there is a problem already.
        let text = at.value.trim().replace("{watch}", watch.map_or("x", WatchName::as_str));
        let hint = "write a short name, such as qa/{watch}";
        if text.chars().any(char::is_control) {
            self.report.error(
                &at.place,
                "contains a line break or another control character",
                hint,
            );
            return None;
        }
        if text.chars().count() > LONGEST_CONTEXT {
            let message = format!("is longer than {LONGEST_CONTEXT} characters");
            self.report.error(&at.place, message, hint);
            return None;
        }
        Some(text)
    }

    /// The address of a Tekton Dashboard is completed to that of a run.
    fn dashboard(&mut self, at: &At<String>) -> Option<String> {
        let text = self.link_template(at, &IN_DASHBOARD, "https://tekton.example.com")?;
        if text.contains('{') {
            return Some(text);
        }
        let base = text.trim_end_matches('/');
        Some(format!("{base}/{IN_TEKTON_DASHBOARD}"))
    }

    /// The address of a page, in which these words are filled later.
    fn link_template(&mut self, at: &At<String>, known: &[&str], example: &str) -> Option<String> {
        self.placeholders(at, known).then_some(())?;
        let text = at.value.trim();
        let filled = known.iter().fold(text.to_owned(), |text, word| text.replace(word, "x"));
        self.page(&at.place, &filled, example)?;
        Some(text.to_owned())
    }

    /// The address of a page that people are sent to.
    pub(super) fn page(&mut self, place: &Place, text: &str, example: &str) -> Option<Url> {
        let hint = format!("write the address of a page: {example}");
        let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let Some(url) = url else {
            self.report.error(place, "is not an http or https URL", &hint);
            return None;
        };
        if !url.username().is_empty() || url.password().is_some() {
            self.report.error(place, "contains credentials: anybody can read a link", &hint);
            return None;
        }
        Some(url)
    }

    /// True if every `{…}` of a template is known.
    fn placeholders(&mut self, at: &At<String>, known: &[&str]) -> bool {
        let mut rest = at.value.as_str();
        while let Some(start) = rest.find('{') {
            let Some(end) = rest[start..].find('}').map(|end| start + end + 1) else {
                self.report.error(&at.place, "contains a `{` without a closing `}`", "close it");
                return false;
            };
            let word = &rest[start..end];
            if !known.contains(&word) {
                let message = "contains an unknown placeholder";
                self.report.error(&at.place, message, &nearest_hint(word, known));
                return false;
            }
            rest = &rest[end..];
        }
        true
    }

    pub(super) fn timing(&mut self, raw: &RawWatch, repo: Option<&RepoUrl>) -> Option<Timing> {
        let standard = Timing::default();
        let local = repo.is_none_or(RepoUrl::is_local);
        let interval = raw.polling_interval.as_ref();
        let short = interval.filter(|at| at.value.0 < SHORTEST && !local);
        if let Some(at) = short {
            let hint = "write 60 or more: forges rate-limit requests";
            self.report.error(&at.place, "is shorter than 60 seconds", hint);
        }
        let none = raw.max_active_runs.as_ref().filter(|at| at.value == 0);
        if let Some(at) = none {
            let hint = "write 1 or more; to stop for a while: `sentry suspend`";
            self.report.error(&at.place, "is 0: nothing would ever run", hint);
        }
        if short.is_some() || none.is_some() {
            return None;
        }
        let span = |at: &Option<At<Span>>| at.as_ref().map(|at| at.value.0);
        Some(Timing {
            polling_interval: span(&raw.polling_interval).unwrap_or(standard.polling_interval),
            timeout: span(&raw.timeout).unwrap_or(standard.timeout),
            max_retries: raw.max_retries.as_ref().map_or(standard.max_retries, |at| at.value),
            run_timeout: span(&raw.run_timeout).or(standard.run_timeout),
            max_active_runs: raw
                .max_active_runs
                .as_ref()
                .map_or(standard.max_active_runs, |at| at.value),
        })
    }
}
