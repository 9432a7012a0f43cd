//! A watch's source: repository A, and which of its branches and tags.

use sentry_core::repo::RepoUrl;
use sentry_core::watch::{
    BranchSelector, Manifests, ManifestsBranch, Source, SubjectSelector, TagSelector,
};

use super::Resolver;
use super::watch::{REPO_HINT, part};
use crate::config::ForgeConfig;
use crate::place::{At, Place, join};
use crate::raw::{RawManifests, RawSource};
use crate::values::{Tags, Texts};

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
        let told = self.report.is_bad(&join(&place.path, "tags"));
        if branches.is_none() && tags.is_none() && !told {
            let hint = "name at least one: main, or release/*; or name tags";
            self.report.missing(&place, "branches", hint);
        }
        let repo: Option<RepoUrl> = url.as_ref().and_then(|url| self.parsed(url, REPO_HINT));
        let subjects = self.subjects(branches.as_ref(), tags.as_ref());
        let forge = raw.forge.or(d.forge);
        let forge = self.forge_of(forge.as_ref(), url.as_ref(), repo.as_ref(), forges);
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
    ) -> Option<SubjectSelector> {
        // Both are read, so that each problem is told.
        let branches = branches.map(|at| self.selector(&at.value));
        let tags = tags.map(|at| self.tags(at));
        if branches.is_none() && tags.is_none() {
            return None;
        }
        let branches = branches.map_or(Some(None), |read| read.map(Some))?;
        Some(SubjectSelector { branches, tags: tags.map_or(Some(None), |read| read.map(Some))? })
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

    /// A tag has no branch of B with its name.
    pub(super) fn tags_have_tests(
        &mut self,
        source: &Source,
        manifests: &Manifests,
        written: Option<&At<RawManifests>>,
    ) {
        let is_fixed = |branch: &ManifestsBranch| matches!(branch, ManifestsBranch::Named(_));
        if source.subjects.tags.is_none() || manifests.branches.iter().any(is_fixed) {
            return;
        }
        let Some(at) = written else { return };
        let place = at.value.branch.as_ref().map_or(&at.place, |branch| &branch.place);
        let hint = "add a fixed branch, which tags use: [\"{source_branch}\", main]";
        self.report.error(place, "names no branch for tags, which have no source branch", hint);
    }
}

/// What a ref's full name is called as a branch.
fn full_ref(pattern: &str) -> Option<&str> {
    let pattern = pattern.strip_prefix('!').unwrap_or(pattern);
    pattern.strip_prefix("refs/heads/").or_else(|| pattern.strip_prefix("refs/remotes/origin/"))
}
