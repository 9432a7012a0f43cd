//! What the page is told of the configuration: names, and where a forge shows commits.

use std::borrow::Cow;

use sentry_config::{Config, ForgeConfig};
use sentry_core::repo::RepoUrl;
use sentry_core::watch::Watch;
use sentry_server::page::{Repository, WatchPlace, Web};
use url::Url;

pub(super) fn places(config: &Config) -> Vec<WatchPlace> {
    config.watches.iter().map(|watch| place(config, watch)).collect()
}

fn place(config: &Config, watch: &Watch) -> WatchPlace {
    let (source, manifests) = (&watch.source, &watch.manifests);
    WatchPlace {
        name: watch.name.to_string(),
        source: repository(config, &source.forge, &source.repo),
        branches: source.subjects.patterns().map(Cow::into_owned).collect(),
        manifests: repository(config, &manifests.forge, &manifests.repo),
        dir: manifests.dir.to_string(),
        target: watch.cluster.to_string(),
        dashboard: watch.reporting.dashboard.clone(),
    }
}

fn repository(config: &Config, forge: &str, repo: &RepoUrl) -> Repository {
    Repository { path: repo.path().to_string(), web: web(config, forge) }
}

/// A plain git server has no pages that are known.
fn web(config: &Config, forge: &str) -> Option<Web> {
    let forge = config.forge(forge)?;
    let [commits, compare] = forge.kind.commits()?;
    Some(Web { commits, compare, base: site(forge)? })
}

/// The address that a forge's repositories and pages are below; `None` where it is not known.
pub(super) fn site(forge: &ForgeConfig) -> Option<Url> {
    let mut site = match &forge.url {
        Some(url) => url.clone(),
        None => Url::parse(&format!("https://{}", forge.kind.public_host()?)).ok()?,
    };
    // A forge may be configured by the address of its API.
    let path = site.path().trim_end_matches('/');
    if let Some(path) = path.strip_suffix("/api/v3").map(str::to_owned) {
        site.set_path(&path);
    }
    Some(site)
}

#[cfg(test)]
mod tests {
    use sentry_config::Environment;

    use super::*;

    fn places_of(yaml: &str) -> Vec<WatchPlace> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("sentry.yaml");
        std::fs::write(&file, yaml).unwrap();
        places(&sentry_config::load(&file, &Environment::new(Default::default())).unwrap())
    }

    #[test]
    fn commits_are_looked_at_where_the_configuration_says_the_forge_is() {
        let [place] = &places_of(
            "forges:\n  hub: {type: github, url: 'https://ghe.example.com/api/v3', token: t0ken-of-hub}\n  \
             lab: {type: gitlab, token: t0ken-of-lab}\nwatches:\n  - name: qa\n    \
             source: {forge: hub, url: 'https://ghe.example.com/product/app.git', branches: 'main,release/*'}\n    \
             manifests: {forge: lab, url: 'https://gitlab.com/qa/sub/tests.git', branch: main}\n    \
             cluster: {context: prod, namespace: qa}\n    dashboard_url: 'https://tekton.example.com'\n",
        )[..] else {
            panic!("one watch");
        };
        let web = place.source.web.as_ref().unwrap();
        assert_eq!((web.commits, web.base.as_str()), (&["commit"][..], "https://ghe.example.com/"));
        assert_eq!((place.source.path.as_str(), place.target.as_str()), ("product/app", "prod/qa"));
        assert_eq!(place.branches, ["main", "release/*"]);
        let dashboard = "https://tekton.example.com/#/namespaces/{namespace}/{kind}/{run}";
        assert_eq!(place.dashboard.as_deref(), Some(dashboard));
        let web = place.manifests.web.as_ref().unwrap();
        assert_eq!((web.commits, web.base.as_str()), (&["-", "commit"][..], "https://gitlab.com/"));
        assert_eq!(web.compare, ["-", "compare"]);
        assert_eq!(
            (place.manifests.path.as_str(), place.dir.as_str()),
            ("qa/sub/tests", ".tekton")
        );
    }

    #[test]
    fn a_plain_git_server_has_no_pages() {
        let [place] = &places_of(
            "forges:\n  plain: {type: git}\nwatches:\n  - name: qa\n    \
             source: {url: 'https://git.example.com/a.git', branches: main}\n    \
             manifests: {url: 'https://git.example.com/b.git', branch: main}\n    \
             cluster: {context: prod, namespace: qa}\n",
        )[..] else {
            panic!("one watch");
        };
        assert!(place.source.web.is_none() && place.manifests.web.is_none());
    }
}
