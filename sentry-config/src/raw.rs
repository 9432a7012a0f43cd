//! The file as it is written: the short form and the long form, each key once.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use sentry_core::remote::RemoteTasks;
use sentry_core::subscription::{On, Route};
use sentry_core::watch::{
    ForceConflicts, NothingRan, OnFirstSight, Refusals, ReportDetail, ReportMode, Unannotated,
    UnknownFields,
};

use crate::forge_kind::ForgeKind;
pub use crate::forge_kind::RawAuth;
use crate::node::{Kind, Node};
use crate::place::{At, Place};
use crate::problem::Report;
use crate::read::{Fields, Read};
use crate::values::{Kinds, Namespaces, Pulls, SecretName, SecretText, Span, Tags, Texts};
use crate::words::{
    DeployerWord, Drafts, Forks, GitClient, LogLevel, Polling, ReceiverKind, TokenKind, TokenRight,
    Word,
};

/// Defines a mapping of the file: its structure, its schema and how it is read come from one list of keys.
macro_rules! raw {
    ($(#[$meta:meta])* $name:ident { $($(#[$fmeta:meta])* $field:ident $key:literal: $type:ty,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Default, JsonSchema)]
        #[schemars(deny_unknown_fields)]
        pub struct $name {
            $($(#[$fmeta])* #[schemars(rename = $key)] pub $field: Option<At<$type>>,)*
        }

        impl $name {
            /// Its allowed keys.
            pub const KEYS: &'static [&'static str] = &[$($key),*];
        }

        impl Read for $name {
            fn read(node: &Node, place: &Place, report: &mut Report) -> Option<Self> {
                let fields = Fields::open(node, place, Self::KEYS, report)?;
                Some(Self { $($field: fields.get($key, report),)* })
            }
        }
    };
}

pub(crate) use raw;

raw! {
    /// The short form: one watch.
    RawShort {
        /// Repository A: what is watched.
        target_repo "target_repo": RawTargetRepo,
        /// Repository B: where the manifests are.
        qa_repo "qa_repo": RawQaRepo,
        /// Tokens.
        auth "auth": RawAuth,
        /// Time between two polls of A's branches, at least 60 s (1 s if A is on this machine). Default 300.
        polling_interval "polling_interval": Span,
        /// The directory of B. Default `.tekton`.
        tekton_dir "tekton_dir": String,
        /// The kubeconfig context; `default` in a pod without a kubeconfig is the in-cluster account.
        kubectl_context "kubectl_context": String,
        /// The namespace to deliver to.
        namespace "namespace": String,
        /// The log level. Default `info`.
        log_level "log_level": Word<LogLevel>,
        /// Attempts after a failed one. Default 3.
        max_retries "max_retries": u32,
        /// The time limit for one attempt. Default 300.
        timeout "timeout": Span,
        /// The time limit for following runs. Default: until they end.
        run_timeout "run_timeout": Span,
        /// The Secret that `{{ git_auth_secret }}` names, or `{per_run: true}`: Sentry creates one. Default: none.
        git_auth_secret "git_auth_secret": SecretName,
        /// The statuses set on A's commits. Default `per_watch`.
        report "report": Word<ReportMode>,
        /// Who is notified of how deliveries end. Default: nobody.
        notify "notify": Vec<At<RawReceiver>>,
        /// The state directory.
        state_dir "state_dir": String,
    }
}

raw! {
    /// Repository A in the short form.
    RawTargetRepo {
        /// Its URL.
        url "url": String,
        /// Exact names and globs: `main,release/*`, or a list.
        branches "branches": Texts,
        /// What hosts it.
        forge_type "type": Word<ForgeKind>,
    }
}

raw! {
    /// Repository B in the short form.
    RawQaRepo {
        /// Its URL.
        url "url": String,
        /// Its branch, or branches in order: the first that exists is used. `{source_branch}` is A's.
        branch "branch": Texts,
        /// What hosts it.
        forge_type "type": Word<ForgeKind>,
    }
}

raw! {
    /// The long form: any number of watches.
    RawLong {
        /// The state directory.
        state_dir "state_dir": String,
        /// A state that many processes share, in the place of a directory.
        state "state": RawState,
        /// The log level. Default `info`.
        log_level "log_level": Word<LogLevel>,
        /// How many deliveries may run at the same time. Default 4.
        max_parallel "max_parallel": u32,
        /// What to serve over HTTP while `sentry watch` runs. Default: nothing.
        server "server": RawServer,
        /// Who is notified of how deliveries end, for all watches without their own `notify`. Default: nobody.
        notify "notify": Vec<At<RawReceiver>>,
        /// Defaults for every watch; a watch overrides them.
        defaults "defaults": RawDefaults,
        /// The places that host repositories, by a name of your choice.
        forges "forges": BTreeMap<String, At<RawForge>>,
        /// The rules.
        watches "watches": Vec<At<RawWatch>>,
    }
}

raw! {
    /// What a file says of its state.
    RawKept {
        /// The state directory.
        state_dir "state_dir": String,
        /// A state that many processes share, in the place of a directory.
        state "state": RawState,
    }
}

raw! {
    /// Where the state is, if not in a directory.
    RawState {
        /// In a PostgreSQL database. Every watch then needs `deployer: native`.
        postgres "postgres": RawPostgres,
    }
}

raw! {
    /// A PostgreSQL database, version 14 or newer.
    RawPostgres {
        /// Where it is: `postgres://USER@HOST:5432/DATABASE`. Never with a password.
        url "url": String,
        /// Certificates (PEM) to trust in addition to the system's.
        ca_file "ca_file": String,
        /// A file with the password; reread for each new connection.
        password_file "password_file": String,
    }
}

raw! {
    /// What to serve over HTTP: health, metrics, webhooks.
    RawServer {
        /// The address and port: `127.0.0.1:8080`, or `0.0.0.0:8080` for every interface.
        listen "listen": String,
        /// The bearer token for read access to the API.
        read_token "read_token": SecretText,
        /// A file with this token; reread when it changes.
        read_token_file "read_token_file": String,
        /// The bearer token for read access and for starting deliveries.
        trigger_token "trigger_token": SecretText,
        /// A file with this token; reread when it changes.
        trigger_token_file "trigger_token_file": String,
        /// More tokens, each with a name that the audit log shows.
        tokens "tokens": Vec<At<RawToken>>,
        /// The address at which people reach the page: links in statuses and notifications lead there.
        public_url "public_url": String,
    }
}

raw! {
    /// A token of the server.
    RawToken {
        /// Its name, unique: a-z, 0-9 and `-`.
        name "name": String,
        /// The token.
        token "token": SecretText,
        /// A file with the token; reread when it changes.
        token_file "token_file": String,
        /// What its holder may do.
        may "may": Vec<At<Word<TokenRight>>>,
    }
}

raw! {
    /// A place that hosts repositories.
    RawForge {
        /// What it is.
        forge_type "type": Word<ForgeKind>,
        /// Its address, unless it is the public instance of its type.
        url "url": String,
        /// A token.
        token "token": SecretText,
        /// A file with the token; reread when it changes.
        token_file "token_file": String,
        /// A token used only to set commit statuses. Default: the credentials used for reading.
        report_token "report_token": SecretText,
        /// A file with that token; reread when it changes.
        report_token_file "report_token_file": String,
        /// The secret that authenticates its webhooks. Default: webhooks are not accepted.
        webhook_secret "webhook_secret": SecretText,
        /// A file with that secret; reread when it changes.
        webhook_secret_file "webhook_secret_file": String,
        /// GitLab: what kind of token it is. Default `private`.
        token_kind "token_kind": Word<TokenKind>,
        /// Plain git: the username to send with the token. Default `git`.
        username "username": String,
        /// GitHub: an app instead of a token.
        app "app": RawApp,
        /// Plain git over ssh.
        ssh "ssh": RawSsh,
        /// The proxy for API calls and git.
        proxy "proxy": SecretText,
        /// Hosts to reach without the proxy.
        no_proxy "no_proxy": Texts,
        /// Certificates (PEM) to trust in addition to the system's.
        ca_file "ca_file": String,
        /// How to poll for heads. Default `auto`.
        polling "polling": Word<Polling>,
        /// What fetches from http(s) repositories: Sentry itself, or the git program. Default `within`.
        git "git": Word<GitClient>,
    }
}

raw! {
    /// A GitHub App.
    RawApp {
        /// The app's id.
        id "id": u64,
        /// The id of its installation.
        installation_id "installation_id": u64,
        /// Its private key (PEM).
        private_key_file "private_key_file": String,
    }
}

raw! {
    /// ssh credentials.
    RawSsh {
        /// The private key.
        key_file "key_file": String,
        /// The servers' public keys.
        known_hosts "known_hosts": String,
    }
}

raw! {
    /// Who is notified of how deliveries end.
    RawReceiver {
        /// Its name, unique: a-z, 0-9 and `-`.
        name "name": String,
        /// Its type.
        receiver_type "type": Word<ReceiverKind>,
        /// Its address. Anyone who knows a chat's address can post there.
        url "url": SecretText,
        /// A file with the address; reread for each notification.
        url_file "url_file": String,
        /// webhook: the secret for signing events. Default: they are not signed.
        secret "secret": SecretText,
        /// A file with that secret; reread for each notification.
        secret_file "secret_file": String,
        /// Its routes. Default: both.
        routes "routes": Vec<At<Word<Route>>>,
        /// What it is notified of. Default: `[failure, recovery]`.
        on "on": Vec<At<Word<On>>>,
        /// The template for the text. Default: one per route.
        template "template": String,
        /// Certificates (PEM) to trust in addition to the system's.
        ca_file "ca_file": String,
    }
}

/// Who is notified of a watch.
#[derive(Debug, Clone)]
pub enum RawHearer {
    /// A receiver of the whole file, by its name.
    Named(String),
    /// A receiver of the watch's own.
    Own(Box<RawReceiver>),
}

impl Read for RawHearer {
    fn read(node: &Node, place: &Place, report: &mut Report) -> Option<Self> {
        if matches!(node.kind, crate::node::Kind::Map(_)) {
            return RawReceiver::read(node, place, report).map(|own| Self::Own(Box::new(own)));
        }
        String::read(node, place, report).map(Self::Named)
    }
}

impl JsonSchema for RawHearer {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "RawHearer".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let own = generator.subschema_for::<RawReceiver>();
        json_schema!({"anyOf": [{"type": "string", "minLength": 1}, own]})
    }
}

/// Defines the rules of a watch and, with the same keys, what `defaults` may hold.
macro_rules! rules {
    ({ $($own:tt)* }
     joined { $($(#[$jmeta:meta])* $joined:ident $jkey:literal: $jtype:ty,)* }
     whole { $($(#[$wmeta:meta])* $whole:ident $wkey:literal: $wtype:ty,)* }) => {
        raw! {
            /// Defaults for every watch; a watch overrides them.
            RawDefaults {
                $($(#[$jmeta])* $joined $jkey: $jtype,)*
                $($(#[$wmeta])* $whole $wkey: $wtype,)*
            }
        }

        raw! {
            /// One rule: source → manifests → cluster. Missing keys come from `defaults`.
            RawWatch {
                $($own)*
                $($(#[$jmeta])* $joined $jkey: $jtype,)*
                $($(#[$wmeta])* $whole $wkey: $wtype,)*
            }
        }

        impl RawWatch {
            /// Filled in from `defaults` where the watch has no value; mappings merged key by key stay as they are.
            pub(crate) fn or(self, defaults: &RawDefaults) -> Self {
                Self { $($whole: self.$whole.or_else(|| defaults.$whole.clone()),)* ..self }
            }
        }
    };
}

rules! {
    {
        /// Its name, unique: a-z, 0-9 and `-`.
        name "name": String,
        /// Who is notified of how its deliveries end: names of receivers, or its own receivers. Default: the top-level `notify`.
        notify "notify": Vec<At<RawHearer>>,
    }
    joined {
        /// Repository A.
        source "source": RawSource,
        /// Repository B.
        manifests "manifests": RawManifests,
        /// The target cluster.
        cluster "cluster": RawCluster,
        /// `{{ name }}` in manifests; those of `defaults` and of the watch are merged.
        variables "variables": BTreeMap<String, At<String>>,
    }
    whole {
        /// Which kinds may be applied: `tekton` or a list. Default: every namespaced kind.
        allow_kinds "allow_kinds": Kinds,
        /// Which namespaces documents may name: `refuse`, `override` or a list. Default `refuse`.
        namespace_policy "namespace_policy": Namespaces,
        /// What happens if a document is refused. Default `strict`.
        refusals "refusals": Word<Refusals>,
        /// Inline the directory's tasks and pipelines into the runs that refer to them. Default true.
        inline "inline": bool,
        /// Allow runs to refer to tasks and pipelines that are in neither the directory nor the cluster. Default false.
        allow_missing_refs "allow_missing_refs": bool,
        /// What happens to a run without annotations. Default `run`.
        unannotated "unannotated": Word<Unannotated>,
        /// The Secret that `{{ git_auth_secret }}` names, or `{per_run: true}`: Sentry creates one. Default: none.
        git_auth_secret "git_auth_secret": SecretName,
        /// What happens to fields of Tekton objects that Tekton does not know. Default `drop`.
        unknown_fields "unknown_fields": Word<UnknownFields>,
        /// What is done with tasks and pipelines from elsewhere, which runs name in annotations. Default `fetch`.
        remote_tasks "remote_tasks": Word<RemoteTasks>,
        /// More places to fetch them from: hosts (`tasks.example.com`), with `http://` or a port if needed. Default: the hub, and
        /// the hosts of A and B.
        remote_hosts "remote_hosts": Texts,
        /// The hub that their names are looked up at. Default `https://artifacthub.io`.
        remote_hub "remote_hub": String,
        /// What to do with a branch's first head. Default `record`.
        on_first_sight "on_first_sight": Word<OnFirstSight>,
        /// Also deliver when B's branch moves. Default false.
        watch_manifests "watch_manifests": bool,
        /// Time between two polls of A's branches, at least 60 s (1 s if A is on this machine). Default 300.
        polling_interval "polling_interval": Span,
        /// Attempts after a failed one. Default 3.
        max_retries "max_retries": u32,
        /// The time limit for one attempt. Default 300.
        timeout "timeout": Span,
        /// The time limit for following runs. Default: until they end.
        run_timeout "run_timeout": Span,
        /// The maximum number of Sentry's runs in progress in the namespace; more are queued. Default 20.
        max_active_runs "max_active_runs": u32,
        /// The statuses set on A's commits. Default `per_watch`.
        report "report": Word<ReportMode>,
        /// How much the statuses say. Default: `counts` on a public repository, else `reasons`.
        report_detail "report_detail": Word<ReportDetail>,
        /// The status set if no run was due. Default `neutral`.
        when_nothing_runs "when_nothing_runs": Word<NothingRan>,
        /// The name of the status; `{watch}` is filled in. Default `sentry-gitops/{watch}`.
        report_context "report_context": String,
        /// The status's link: `{watch}`, `{delivery}`, `{branch}`, `{revision}`, `{namespace}`, `{run}` are filled in.
        report_link "report_link": String,
        /// Where runs can be looked at: the address of a Tekton Dashboard, or a template with `{namespace}`, `{kind}` and `{run}`.
        dashboard_url "dashboard_url": String,
    }
}

raw! {
    /// Repository A, and what of it is watched.
    RawSource {
        /// A name from `forges`; optional if the URL's host matches exactly one.
        forge "forge": String,
        /// Its URL.
        url "url": String,
        /// Exact names and globs: `main,release/*`, or a list.
        branches "branches": Texts,
        /// Tags: exact names and globs as for branches, or a range of versions, `{semver: ">=1.2"}`. Default: none.
        tags "tags": Tags,
        /// Pull requests (GitLab: merge requests): `true`, or which of them. Default: none.
        pull_requests "pull_requests": Pulls,
    }
}

raw! {
    /// Which pull requests are watched.
    RawPulls {
        /// The branches that they are to be merged into: exact names and globs. Default: any.
        target "target": Texts,
        /// Whether drafts run. Default `run`.
        drafts "drafts": Word<Drafts>,
        /// Labels that must, and must not, be there.
        labels "labels": RawLabels,
        /// What those of forks may do. Default `approve`.
        forks "forks": Word<Forks>,
    }
}

raw! {
    /// Conditions on labels.
    RawLabels {
        /// All of these must be there.
        need "need": Texts,
        /// None of these may be there.
        without "without": Texts,
    }
}

raw! {
    /// Repository B.
    RawManifests {
        /// A name from `forges`; optional if the URL's host matches exactly one.
        forge "forge": String,
        /// Its URL.
        url "url": String,
        /// Its branch, or branches in order: the first that exists is used. `{source_branch}` is A's.
        branch "branch": Texts,
        /// The directory. Default `.tekton`.
        dir "dir": String,
    }
}

raw! {
    /// The target of deliveries.
    RawCluster {
        /// The kubeconfig context. Default: the current context, or the in-cluster account.
        context "context": String,
        /// The namespace to deliver to.
        namespace "namespace": String,
        /// What to do about fields that another field manager owns. Default `first`.
        force_conflicts "force_conflicts": Word<ForceConflicts>,
        /// The deployer. Default `kubectl`.
        deployer "deployer": Word<DeployerWord>,
        /// How kubectl is called.
        kubectl "kubectl": RawKubectl,
        /// How the native deployer finds the cluster.
        native "native": RawNative,
    }
}

raw! {
    /// How kubectl is called.
    RawKubectl {
        /// The program. Default `kubectl`, looked up in PATH.
        path "path": String,
        /// The kubeconfig. Default: kubectl's own choice.
        kubeconfig "kubeconfig": String,
    }
}

raw! {
    /// How the native deployer finds the cluster.
    RawNative {
        /// The kubeconfig. Default: what kubectl would take.
        kubeconfig "kubeconfig": String,
    }
}

/// The keys of the short form that the long form lacks.
const SHORT_ONLY: [&str; 5] = ["target_repo", "qa_repo", "auth", "kubectl_context", "tekton_dir"];

/// A whole file.
#[derive(Debug, Clone)]
pub enum RawConfig {
    /// One watch.
    Short(Box<RawShort>),
    /// Any number of watches.
    Long(Box<RawLong>),
}

impl Read for RawConfig {
    fn read(node: &Node, place: &Place, report: &mut Report) -> Option<Self> {
        let Kind::Map(entries) = &node.kind else {
            return RawLong::read(node, place, report).map(|raw| Self::Long(Box::new(raw)));
        };
        let has = |name: &str| entries.iter().find(|(key, _)| key.text == name);
        let short = SHORT_ONLY.iter().find_map(|name| has(name));
        let (long, forges) = (has("watches"), has("forges").or_else(|| has("state")));
        let mut node = Cow::Borrowed(node);
        // The odd one out is told, and the rest read for what else may be wrong in it.
        let (odd, belongs) =
            if long.is_some() { (short, "short") } else { (short.and(forges), "long") };
        if let Some((key, _)) = odd {
            report.error(
                &crate::read::key_place(key, ""),
                format!(
                    "belongs to the {belongs} form, but the file also uses keys of the other form"
                ),
                "use one of the two forms: `watches` and `forges`, or `target_repo` and `qa_repo`",
            );
            let (own, other) = match long {
                Some(_) => (RawLong::KEYS, RawShort::KEYS),
                None => (RawShort::KEYS, RawLong::KEYS),
            };
            if let Kind::Map(entries) = &mut node.to_mut().kind {
                let is_other = |key: &str| other.contains(&key) && !own.contains(&key);
                entries.retain(|(key, _)| !is_other(&key.text));
            }
        }
        if short.is_some() && long.is_none() {
            RawShort::read(&node, place, report).map(|raw| Self::Short(Box::new(raw)))
        } else {
            RawLong::read(&node, place, report).map(|raw| Self::Long(Box::new(raw)))
        }
    }
}
