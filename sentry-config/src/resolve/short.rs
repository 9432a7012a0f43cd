//! The short form as a long one: places stay those of the file, so that messages speak of what was written.

use std::collections::BTreeMap;

use crate::forge_kind::{ForgeKind, RawAuth};
use crate::place::{At, Place, join};
use crate::problem::Report;
use crate::raw::{RawCluster, RawForge, RawLong, RawManifests, RawShort, RawSource, RawWatch};
use crate::words::Word;

pub(super) fn to_long(short: RawShort, report: &mut Report) -> RawLong {
    let place_of = |key: &str| Place { path: key.to_owned(), ..Place::root() };
    let auth = short.auth.map(|at| at.value).unwrap_or_default();
    let target =
        short.target_repo.unwrap_or_else(|| At::new(Default::default(), place_of("target_repo")));
    let qa = short.qa_repo.unwrap_or_else(|| At::new(Default::default(), place_of("qa_repo")));

    let mut forges = BTreeMap::new();
    let mut forge =
        |kind: Option<At<Word<ForgeKind>>>, url: Option<&At<String>>, parent: &Place| {
            let Some(kind) = kind else {
                report.missing(parent, "type", &format!("write {}", ForgeKind::any()));
                // Nobody looks for another one that its host fits.
                report.mark_bad(&join("forges", &parent.path));
                return Some(At::new(parent.path.clone(), parent.clone()));
            };
            let (name, place) = add_forge(&mut forges, &kind, url, &auth);
            Some(At::new(name, place))
        };
    let source_forge = forge(target.value.forge_type, target.value.url.as_ref(), &target.place);
    let manifests_forge = forge(qa.value.forge_type, qa.value.url.as_ref(), &qa.place);

    let source = RawSource {
        forge: source_forge,
        url: target.value.url,
        branches: target.value.branches,
        tags: None,
        pull_requests: None,
    };
    let manifests = RawManifests {
        forge: manifests_forge,
        url: qa.value.url,
        branch: qa.value.branch,
        dir: short.tekton_dir,
    };
    let cluster = RawCluster {
        context: short.kubectl_context,
        namespace: short.namespace,
        ..RawCluster::default()
    };
    let watch = RawWatch {
        name: Some(At::new("default".to_owned(), Place::root())),
        source: Some(At::new(source, target.place)),
        manifests: Some(At::new(manifests, qa.place)),
        cluster: Some(At::new(cluster, Place::root())),
        polling_interval: short.polling_interval,
        max_retries: short.max_retries,
        timeout: short.timeout,
        run_timeout: short.run_timeout,
        git_auth_secret: short.git_auth_secret,
        report: short.report,
        ..RawWatch::default()
    };
    RawLong {
        state_dir: short.state_dir,
        log_level: short.log_level,
        notify: short.notify,
        forges: Some(At::new(forges, Place::root())),
        watches: Some(At::new(vec![At::new(watch, Place::root())], Place::root())),
        ..RawLong::default()
    }
}

/// The forge of a type at a URL's host: named by its type, and by its host as well if there are two of the type.
fn add_forge(
    forges: &mut BTreeMap<String, At<RawForge>>,
    kind: &At<Word<ForgeKind>>,
    url: Option<&At<String>>,
    auth: &RawAuth,
) -> (String, Place) {
    let base =
        url.and_then(|at| Some(At { value: base_url(kind.value.0, &at.value)?, ..at.clone() }));
    let token = auth.token(kind.value.0);
    let base_text = |at: &Option<At<String>>| at.as_ref().map(|at| at.value.clone());
    let mut name = kind.value.0.as_str().to_owned();
    if forges.get(&name).is_some_and(|known| base_text(&known.value.url) != base_text(&base)) {
        name.push_str("-qa");
    }
    let place = kind.place.clone();
    forges.entry(name.clone()).or_insert_with(|| {
        let forge = RawForge {
            forge_type: Some(kind.clone()),
            url: base,
            token: token.cloned(),
            ..RawForge::default()
        };
        At::new(forge, place.clone())
    });
    (name, place)
}

/// The address of a self-managed forge; `None` for the public ones, for plain git, and for what is no such URL.
fn base_url(kind: ForgeKind, repo: &str) -> Option<String> {
    let repo: sentry_core::repo::RepoUrl = repo.trim().parse().ok()?;
    let http = matches!(repo.url().scheme(), "http" | "https");
    let public = repo.host().is_some_and(|host| ForgeKind::of_public_host(host).is_some());
    (http && kind.is_hosted() && !(public && kind.public_host().is_some())).then(|| repo.origin())
}
