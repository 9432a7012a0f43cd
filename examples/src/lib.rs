//! What the examples share: two small git repositories, and words for what a pass delivered.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use sentry_core::engine::Summary;
use sentry_core::forge::ForgePorts;
use sentry_core::names::ClusterRef;
use sentry_core::repo::DirPath;
use sentry_core::secret::Redactor;
use sentry_core::watch::{BranchSelector, Manifests, ManifestsBranch, OnFirstSight, Source, Watch};
use sentry_forge::credential::Credential;
use sentry_forge::git::{GitForge, GitSettings, Transport, TransportSettings};
use sentry_forge::http::{Http, HttpSettings};
use sentry_tests::repo::BareRepo;

/// B's only manifest.
pub const RUN: &str = "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata: {name: qa}\n\
                       spec: {params: [{name: revision, value: '{{ revision }}'}]}\n";

/// Makes `a.git` with one commit and `b.git` with a `.tekton` directory below `root`.
pub fn repositories(root: &Path) {
    let (a, b) = (BareRepo::create(root, "a.git"), BareRepo::create(root, "b.git"));
    a.commit("main", &[("README.md", "A")], "first");
    b.commit("main", &[(".tekton/run.yaml", RUN)], "tests");
}

/// A watch of those two, by the forge `forge` and the deployer `deployer`, that delivers the first head that it sees.
///
/// # Errors
/// A name or an address that is none.
pub fn watch(root: &Path) -> Result<Watch, Box<dyn Error>> {
    let source = Source {
        forge: "forge".into(),
        repo: format!("file://{}/a.git", root.display()).parse()?,
        subjects: BranchSelector::new(["main"])?.into(),
    };
    let manifests = Manifests {
        forge: "forge".into(),
        repo: format!("file://{}/b.git", root.display()).parse()?,
        branches: vec![ManifestsBranch::Named("main".parse()?)],
        dir: DirPath::default(),
    };
    let cluster =
        ClusterRef { deployer: "deployer".into(), context: None, namespace: "qa".parse()? };
    let watch = Watch::new("qa".parse()?, source, manifests, cluster);
    Ok(Watch { on_first_sight: OnFirstSight::Deliver, ..watch })
}

/// A forge that reads repositories by git, without a token.
///
/// # Errors
/// An HTTP client that can't be made.
pub fn git() -> Result<ForgePorts, Box<dyn Error>> {
    let settings =
        HttpSettings { proxy: None, no_proxy: None, ca_file: None, redactor: Redactor::new() };
    let http = Http::new(&settings)?;
    Ok(ForgePorts::new(Arc::new(GitForge::new(GitSettings {
        name: "forge".into(),
        credential: Credential::Anonymous,
        username: "git".into(),
        transport: Arc::new(Transport::new(TransportSettings::within(&http))),
        http,
    }))))
}

/// One line per object that a pass brought to the cluster.
#[must_use]
pub fn lines(summary: &Summary) -> Vec<String> {
    let line = |d: &sentry_core::delivery::Delivery| {
        let revision = d.revision.to_string();
        let state = d.state.as_str();
        let objects = d.objects.iter().map(move |o| {
            format!("{revision} {state}: {} {} {}", o.action.as_str(), o.object.kind, o.object.name)
        });
        objects.collect::<Vec<_>>()
    };
    summary.deliveries.iter().flat_map(line).collect()
}

/// The document's code, compiled.
#[doc = include_str!("../../docs/embedding.md")]
pub mod embedding {}
