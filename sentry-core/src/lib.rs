//! The engine of Sentry and its types, for programs that embed it: it watches the heads of repository A, and brings
//! what repository B keeps in its directory to a cluster, once for each head.
//!
//! An [`Engine`](engine::Engine) is built from [`Watch`](watch::Watch)es, a [`State`](store::State), and ports by name.
//! The crates `sentry-forge`, `sentry-deploy`, `sentry-notify` and `sentry-store` implement the ports; this one knows no HTTP,
//! no git, no Kubernetes and no database.
//!
//! ```no_run
//! use sentry_core::deployer::DeployerPorts;
//! use sentry_core::engine::{Engine, Stop};
//! use sentry_core::forge::ForgePorts;
//! use sentry_core::names::ClusterRef;
//! use sentry_core::repo::DirPath;
//! use sentry_core::store::State;
//! use sentry_core::watch::{BranchSelector, Manifests, ManifestsBranch, Source, Watch};
//!
//! async fn deliver(
//!     state: State,
//!     forge: ForgePorts,
//!     deployer: DeployerPorts,
//! ) -> Result<(), Box<dyn std::error::Error>> {
//!     let source = Source {
//!         forge: "github".into(),
//!         repo: "https://github.com/acme/app".parse()?,
//!         subjects: BranchSelector::new(["main", "release/*"])?.into(),
//!     };
//!     let manifests = Manifests {
//!         forge: "github".into(),
//!         repo: "https://github.com/acme/tests".parse()?,
//!         branches: vec![ManifestsBranch::SourceBranch, ManifestsBranch::Named("main".parse()?)],
//!         dir: DirPath::default(), // .tekton
//!     };
//!     let cluster =
//!         ClusterRef { deployer: "kubectl".into(), context: None, namespace: "qa".parse()? };
//!     let engine = Engine::builder(state)
//!         .watch(Watch::new("app".parse()?, source, manifests, cluster))
//!         .forge("github", forge)
//!         .deployer("kubectl", deployer)
//!         .build()?;
//!     let stop = Stop::new();
//!     engine.run(&stop).await?; // until stop.soft()
//!     Ok(())
//! }
//! ```
//!
//! | modules | what they hold |
//! |---|---|
//! | [`engine`] | the engine, its requests, how it is stopped |
//! | [`fleet`] | many equal processes over one state, each with an engine for the parts that it owns |
//! | [`forge`], [`remote`], [`deployer`], [`notifier`], [`store`], [`clock`] | the ports, each with its requests and answers |
//! | [`watch`], [`subscription`] | what is wanted: rules, and who is notified |
//! | [`ids`], [`names`], [`repo`], [`subject`], [`revision`] | the words: ids, names, repositories and commits, what has a head, a head at a commit |
//! | [`cursor`], [`delivery`], [`plan`], [`event`] | the memory of a head, its delivery, the plan for a cluster, the events |
//! | [`change`], [`manifest`], [`retry`] | pure decisions: what moved, which documents run and why, when it is tried again |
//! | [`error`], [`secret`], [`text`], [`mod@closed_list`] | the one shape of an error; secrets and their redaction; strangers' words made fit to show; lists of words |
//! | `testing` (a feature) | fakes of the ports, sample records, and each port's contract as tests |

pub mod approval;
pub mod change;
pub mod clock;
pub mod closed_list;
pub mod cursor;
pub mod delivery;
pub mod deployer;
pub mod engine;
pub mod error;
pub mod event;
pub mod fleet;
pub mod forge;
pub mod ids;
pub mod manifest;
pub mod names;
pub mod notifier;
pub mod plan;
pub mod pull;
pub mod recent;
pub mod remote;
pub mod repo;
pub mod retry;
pub mod revision;
pub mod secret;
pub mod store;
pub mod subject;
pub mod subscription;
#[cfg(feature = "testing")]
pub mod testing;
pub mod text;
pub mod watch;
