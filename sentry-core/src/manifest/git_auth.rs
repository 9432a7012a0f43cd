//! The Secrets by which runs clone A, where the watch wants them made.
//!
//! They hold what Pipelines-as-Code's hold (its `pkg/secrets/basic_auth.go`), so that the same tasks can use them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use url::form_urlencoded::byte_serialize;

use super::{Context, ManifestSet, naming};
use crate::forge::CloneCredential;
use crate::plan::{GitAuth, ObjectRef};
use crate::repo::RepoUrl;
use crate::secret::Secret;
use crate::watch::GitAuthSecret;

/// How far what stays a reference can be from a run: a step action in a task in a pipeline.
const REFERENCES: usize = 3;

/// One Secret for each namespace with runs that use it, without data.
pub(super) fn wanted(set: &ManifestSet, context: &Context<'_>) -> Vec<GitAuth> {
    if context.watch.reading.git_auth_secret != GitAuthSecret::PerRun {
        return Vec::new();
    }
    let name = naming::git_auth_name(context);
    let mut users: BTreeMap<&str, Vec<ObjectRef>> = BTreeMap::new();
    for user in users_of(set, &name) {
        users.entry(user.namespace.as_deref().unwrap_or_default()).or_default().push(user.clone());
    }
    let secret = |(namespace, users): (&str, Vec<ObjectRef>)| GitAuth {
        name: name.clone(),
        namespace: namespace.to_owned(),
        json: object(&name, namespace, context),
        data: BTreeMap::new(),
        users,
    };
    users.into_iter().map(secret).collect()
}

/// The runs that name the Secret, themselves or through what they still refer to by name. One too many keeps the Secret
/// for longer; one too few would start without it.
fn users_of<'s>(set: &'s ManifestSet, name: &str) -> Vec<&'s ObjectRef> {
    let (runs, named): (Vec<_>, Vec<_>) = set.objects.iter().partition(|planned| planned.is_run());
    let mut carriers = BTreeSet::new();
    for _ in 0..REFERENCES {
        let found = named.iter().filter(|planned| mentions(&planned.json, name, &carriers));
        let found: BTreeSet<&str> = found.map(|planned| planned.object.name.as_str()).collect();
        carriers.extend(found);
    }
    let users = runs.iter().filter(|run| mentions(&run.json["spec"], name, &carriers));
    users.map(|run| &run.object).collect()
}

/// True if a text holds the name, or is one of the carriers' names.
fn mentions(value: &Value, name: &str, carriers: &BTreeSet<&str>) -> bool {
    match value {
        Value::String(text) => text.contains(name) || carriers.contains(text.as_str()),
        Value::Array(items) => items.iter().any(|item| mentions(item, name, carriers)),
        Value::Object(map) => map.values().any(|item| mentions(item, name, carriers)),
        _ => false,
    }
}

fn object(name: &str, namespace: &str, context: &Context<'_>) -> Value {
    let mut metadata = Map::new();
    metadata.insert("name".to_owned(), name.into());
    metadata.insert("namespace".to_owned(), namespace.into());
    naming::mark(&mut metadata, context, None);
    json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": metadata})
}

/// What the Secret holds: two files for git's home directory, and the token alone for a forge's API. Unlike
/// Pipelines-as-Code's, the latter is not percent-encoded.
pub(super) fn data(repo: &RepoUrl, credential: &CloneCredential) -> BTreeMap<String, Secret> {
    let CloneCredential { username, token, .. } = credential;
    let encode = |text: &str| -> String {
        // In a URL's user and password a plus stands for itself.
        byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
    };
    let (scheme, rest) = repo.as_str().split_once("://").unwrap_or(("https", repo.as_str()));
    let url = format!("{scheme}://{}:{}@{rest}\n", encode(username), encode(token.expose()));
    let config = format!("[credential \"{}\"]\n\thelper = store\n", repo.origin());
    [
        (".gitconfig", config),
        (".git-credentials", url),
        ("git-provider-token", token.expose().into()),
    ]
    .map(|(key, text)| (key.to_owned(), Secret::new(text)))
    .into()
}

/// True if the runs may have it: those of a fork get no more than can read A, and that for a while.
pub(super) fn may_be_lent(credential: &CloneCredential, context: &Context<'_>) -> bool {
    credential.is_read_only || !is_of_a_fork(context)
}

fn is_of_a_fork(context: &Context<'_>) -> bool {
    context.pull.is_some_and(|pull| pull.is_fork)
}

/// Why runs that use a Secret are refused where no credential can be lent.
pub(super) fn nothing_to_lend(context: &Context<'_>) -> String {
    let source = &context.watch.source;
    if is_of_a_fork(context) {
        return format!(
            "`{{{{ git_auth_secret }}}}` is used for a head of a fork, which is lent no other token than a GitHub \
             App's for reading {}: give the forge {} an App, or keep the run from pull requests of forks with \
             `on-cel-expression`",
            source.repo, source.forge
        );
    }
    format!(
        "`{{{{ git_auth_secret }}}}` is used, and the forge {} has no token to lend for {}: give the forge a \
         token and write A's URL with https, or set `git_auth_secret` to the name of a Secret that can read A",
        source.forge, source.repo
    )
}

/// That a Secret is made, for its first run.
pub(super) fn note(secret: &GitAuth, context: &Context<'_>) -> Option<String> {
    let first = secret.users.first()?;
    Some(format!(
        "{}:{}: `{{{{ git_auth_secret }}}}` is {}, a Secret made with the credential of the forge \
         {} and deleted with its runs",
        first.path, first.line, secret.name, context.watch.source.forge
    ))
}
