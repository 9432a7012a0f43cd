//! A watch's source: repository A, and which of its branches and tags.

use sentry_core::pull::{Forks, PullSelector};
use sentry_core::repo::RepoUrl;
use sentry_core::watch::{
    BranchSelector, Manifests, ManifestsBranch, Source, SubjectSelector, TagSelector,
};

use super::Resolver;
use super::watch::{REPO_HINT, part};
use crate::config::ForgeConfig;
use crate::forge_kind::ForgeKind;
use crate::place::{At, Place, join};
use crate::raw::{RawManifests, RawSource};
use crate::values::{Pulls, Tags, Texts};
use crate::words::{self, Drafts};

impl Resolver<'_> {
    /// The source, and its repository even where the rest of it has a problem.
    pub(super) fn source(
        &mut self,
        raw: Option<At<RawSource>>,
        d: Option<&At<RawSource>>,
        watch: &Place,
        forges: &[&ForgeConfig],
    ) -> (Option<RepoUrl>, Option<Source>) {
        let (raw, place) = part(raw, watch, "source");
        let d = d.map(|at| at.value.clone()).unwrap_or_default();
        let url = self.required(raw.url.or(d.url), &place, "url", REPO_HINT);
        let (branches, tags) = (raw.branches.or(d.branches), raw.tags.or(d.tags));
        let pulls = raw.pull_requests.or(d.pull_requests);
        let told = ["tags", "pull_requests"].map(|key| join(&place.path, key));
        let told = told.iter().any(|path| self.report.is_bad(path));
        if branches.is_none() && tags.is_none() && pulls.is_none() && !told {
            let hint = "name at least one: main, or release/*; or name tags, or set pull_requests";
            self.report.missing(&place, "branches", hint);
        }
        let repo: Option<RepoUrl> = url.as_ref().and_then(|url| self.parsed(url, REPO_HINT));
        let subjects = self.subjects(branches.as_ref(), tags.as_ref(), pulls.as_ref());
        let forge = raw.forge.or(d.forge);
        let forge = self.forge_of(forge.as_ref(), url.as_ref(), repo.as_ref(), forges);
        let kind = forges.iter().find(|it| forge.as_ref() == Some(&it.name)).map(|it| it.kind);
        if let (Some(at), Some(ForgeKind::Git)) = (&pulls, kind) {
            let message =
                "can't be watched on a forge of type git: nothing tells those of strangers";
            let hint = "use the forge's own type: github, gitlab or gitea";
            self.report.error(&at.place, message, hint);
        }
        let source = match (forge, &repo, subjects) {
            (Some(forge), Some(repo), Some(subjects)) => {
                Some(Source { forge, repo: repo.clone(), subjects })
            }
            _ => None,
        };
        (repo, source)
    }

    /// What is watched, if it is anything.
    fn subjects(
        &mut self,
        branches: Option<&At<Texts>>,
        tags: Option<&At<Tags>>,
        pulls: Option<&At<Pulls>>,
    ) -> Option<SubjectSelector> {
        // Both are read, so that each problem is told.
        let branches = branches.map(|at| self.selector(&at.value));
        let tags = tags.map(|at| self.tags(at));
        let pulls = pulls.map(|at| self.pulls(&at.value));
        if branches.is_none() && tags.is_none() && pulls.is_none() {
            return None;
        }
        let branches = branches.map_or(Some(None), |read| read.map(Some))?;
        let tags = tags.map_or(Some(None), |read| read.map(Some))?;
        Some(SubjectSelector { branches, tags, pulls: pulls.unwrap_or(Some(None))? })
    }

    fn selector(&mut self, texts: &Texts) -> Option<BranchSelector> {
        // Most watches of a file have the same few patterns, and a glob is dear to make.
        let key: Vec<String> = texts.0.iter().map(|at| at.value.clone()).collect();
        if let Some(known) = self.selectors.get(&key) {
            return Some(known.clone());
        }
        let together = BranchSelector::new(key.iter().map(String::as_str));
        let mut good = true;
        for text in &texts.0 {
            // One that takes away is read beside one that does not.
            let alone = || BranchSelector::new(["*", text.value.as_str()]);
            if let Some(error) = together.as_ref().err().and_then(|_| alone().err()) {
                good = false;
                let hint = "write a branch name, or a glob such as release/*";
                self.problem(&text.place, &error, hint);
            } else if let Some(name) = full_ref(&text.value) {
                good = false;
                let hint = format!("write just the branch name: {name}");
                self.report.error(&text.place, "is a full ref name", &hint);
            }
        }
        if let (true, Err(error), Some(first)) = (good, &together, texts.0.first()) {
            let hint = "name the branches to watch, such as main or \"*\"";
            self.problem(&first.place, error, hint);
        }
        let selector = together.ok().filter(|_| good)?;
        self.selectors.insert(key, selector.clone());
        Some(selector)
    }

    /// The outer `None` is a problem.
    fn pulls(&mut self, pulls: &Pulls) -> Option<Option<PullSelector>> {
        let Pulls::Some(raw) = pulls else { return Some(None) };
        let target = raw.target.as_ref().map(|at| self.selector(&at.value));
        let labels = raw.labels.as_ref().map(|at| &at.value);
        let set = |texts: Option<&At<Texts>>| {
            let texts = texts.into_iter().flat_map(|at| &at.value.0);
            texts.map(|at| at.value.clone()).collect()
        };
        Some(Some(PullSelector {
            target: target.map_or(Some(None), |read| read.map(Some))?,
            forks: raw.forks.as_ref().map_or(Forks::Approve, |at| forks(at.value.0)),
            skips_drafts: raw.drafts.as_ref().is_some_and(|at| at.value.0 == Drafts::Skip),
            need: set(labels.and_then(|labels| labels.need.as_ref())),
            without: set(labels.and_then(|labels| labels.without.as_ref())),
        }))
    }

    fn tags(&mut self, tags: &At<Tags>) -> Option<TagSelector> {
        let texts = match &tags.value {
            Tags::Named(texts) => &texts.0,
            Tags::Versions(range) => {
                let hint = "write a range in Cargo's notation: \">=1.2, <2\"";
                let read = TagSelector::versions(&range.value);
                return read.map_err(|error| self.problem(&range.place, &error, hint)).ok();
            }
        };
        for text in texts {
            if let Some(name) = text.value.trim_start_matches('!').strip_prefix("refs/tags/") {
                let hint = format!("write just the tag's name: {name}");
                self.report.error(&text.place, "is a full ref name", &hint);
                return None;
            }
            if let Err(error) = TagSelector::names(["*", text.value.as_str()]) {
                self.problem(&text.place, &error, "write a tag's name, or a glob such as v*");
                return None;
            }
        }
        let read = TagSelector::names(texts.iter().map(|at| at.value.as_str()));
        let hint = "name the tags to watch, such as v* or \"*\"";
        read.map_err(|error| self.problem(&tags.place, &error, hint)).ok()
    }

    /// A tag has no branch of B with its name, and which one a pull request gets is not for its author to say.
    pub(super) fn subjects_have_tests(
        &mut self,
        source: &Source,
        manifests: &Manifests,
        written: Option<&At<RawManifests>>,
    ) {
        let is_fixed = |branch: &ManifestsBranch| matches!(branch, ManifestsBranch::Named(_));
        let Some(at) = written else { return };
        let place = at.value.branch.as_ref().map_or(&at.place, |branch| &branch.place);
        let by_source = manifests.branches.contains(&ManifestsBranch::SourceBranch);
        if source.subjects.pulls.is_some() && by_source {
            let hint = "write {target_branch}: of a branch it is the branch itself";
            let message = "{source_branch} is chosen by whoever opens a pull request";
            self.report.error(place, message, hint);
        }
        if source.subjects.tags.is_none() || manifests.branches.iter().any(is_fixed) {
            return;
        }
        let hint = "add a fixed branch, which tags use: [\"{source_branch}\", main]";
        self.report.error(place, "names no branch for tags, which have no source branch", hint);
    }
}

fn forks(word: words::Forks) -> Forks {
    match word {
        words::Forks::Approve => Forks::Approve,
        words::Forks::Run => Forks::Run,
        words::Forks::Never => Forks::Never,
    }
}

/// What a ref's full name is called as a branch.
fn full_ref(pattern: &str) -> Option<&str> {
    let pattern = pattern.strip_prefix('!').unwrap_or(pattern);
    pattern.strip_prefix("refs/heads/").or_else(|| pattern.strip_prefix("refs/remotes/origin/"))
}
