//! Tasks and pipelines from elsewhere: where they are, what a watch allows of that, and the port that gets them.
//!
//! What Pipelines-as-Code's annotations name is meant by its documentation
//! (<https://pipelinesascode.com/docs/guide/resolver/>): a catalogue's entry, an address, or a file of the repository.

use std::collections::BTreeSet;
use std::fmt;

use async_trait::async_trait;
use sha2::{Digest as _, Sha256};
use url::Url;

use crate::forge::ForgeError;
use crate::repo::RepoUrl;

/// Bytes of one document from elsewhere.
pub const MAX_BYTES: usize = 1 << 20;
/// Documents from elsewhere of one delivery.
pub const MAX_DOCUMENTS: usize = 50;
/// Documents that lead to each other: a run's pipeline, and that one's tasks. More than Pipelines-as-Code follows.
pub const MAX_DEPTH: usize = 3;
/// Artifact Hub, which Pipelines-as-Code asks by default.
pub const HUB: &str = "https://artifacthub.io";
const GITHUB: &str = "https://github.com";
/// Where GitHub keeps the plain text of files.
const GITHUB_RAW: &str = "https://raw.githubusercontent.com";

crate::closed_list! {
    /// What is done with tasks and pipelines from elsewhere.
    pub enum RemoteTasks, Fetch by default {
        /// They are fetched; where the directory has a lock, only what that names is used.
        Fetch = "fetch",
        /// Only what the directory's lock names is used.
        Locked = "locked",
        /// Nothing from elsewhere is used.
        Off = "off",
    }
}

crate::closed_list! {
    /// What a document from elsewhere is to be.
    pub enum RemoteKind {
        /// A Task.
        Task = "task",
        /// A Pipeline.
        Pipeline = "pipeline",
    }
}

/// What a watch allows of tasks and pipelines from elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RemoteRules {
    /// What is done with them.
    pub tasks: RemoteTasks,
    /// The hub that names without an address are looked up at; `None` is [`HUB`].
    pub hub: Option<Url>,
    /// More places that may be asked, as `scheme://host[:port]`.
    pub hosts: BTreeSet<String>,
}

/// Who may be asked, and how far that is trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reach {
    /// Somebody named it in the configuration: it may be anywhere.
    Named,
    /// It is a public place by itself: an address of a private network is refused for it.
    Public,
}

impl RemoteRules {
    /// Whether an address may be asked, for a watch of these two repositories; `None`: no. The list is closed, whatever the
    /// documents name.
    #[must_use]
    pub fn reach(&self, url: &Url, a: &RepoUrl, b: &RepoUrl) -> Option<Reach> {
        let origin = origin(url);
        let repositories = [a, b].map(RepoUrl::origin);
        let is_own_hub = self.hub.as_ref().is_some_and(|hub| self::origin(hub) == origin);
        if repositories.contains(&origin) || self.hosts.contains(&origin) || is_own_hub {
            return Some(Reach::Named);
        }
        let is_hub = origin == HUB && self.hub.is_none();
        let is_raw = origin == GITHUB_RAW && repositories.iter().any(|one| one == GITHUB);
        (is_hub || is_raw).then_some(Reach::Public)
    }
}

/// `scheme://host[:port]`, without the scheme's own port.
#[must_use]
pub fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// A place that may be asked, as people write it: a host, with a port or a scheme where it is not https.
///
/// # Errors
/// What is wrong with it, as a clause.
pub fn place(text: &str) -> Result<Url, &'static str> {
    let text = text.trim();
    let whole = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
    let url = Url::parse(&whole).map_err(|_| "is not a host")?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err("is not a host that is reached by https or http");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("contains credentials: none is sent there");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("has a `?` or `#` part");
    }
    Ok(url)
}

/// Where a document is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// An entry of the hub's catalogue of Tekton's own tasks or pipelines.
    Hub {
        /// Its name: letters, digits, `-`, `_` and `.`.
        name: String,
        /// Its version; `None` is the newest.
        version: Option<String>,
    },
    /// An address.
    Url(Url),
    /// A file of B, from the root of the repository, at the delivery's own commit.
    File(String),
}

impl fmt::Display for Place {
    /// As the annotation names it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hub { name, version: None } => f.write_str(name),
            Self::Hub { name, version: Some(version) } => write!(f, "{name}:{version}"),
            Self::Url(url) => write!(f, "{url}"),
            Self::File(path) => f.write_str(path),
        }
    }
}

/// One document from elsewhere, as it is asked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Wanted {
    /// What it is to be.
    pub kind: RemoteKind,
    /// Where it is.
    pub place: Place,
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}`", self.kind, self.place)
    }
}

impl Wanted {
    /// Where the hub has it; the address itself for an address; `None` for a file.
    ///
    /// <https://artifacthub.io/docs/api/>: a package by its kind, the name of its repository, and its own name and version.
    #[must_use]
    pub fn address(&self, rules: &RemoteRules) -> Option<Url> {
        let hub = || rules.hub.clone().or_else(|| Url::parse(HUB).ok());
        match &self.place {
            Place::Url(url) => Some(url.clone()),
            Place::File(_) => None,
            Place::Hub { name, version } => {
                let kind = self.kind;
                let mut address = hub()?;
                let is_api = address.path().trim_end_matches('/').ends_with("/api/v1");
                let mut path = address.path_segments_mut().ok()?;
                path.pop_if_empty();
                if !is_api {
                    path.extend(["api", "v1"]);
                }
                let catalogue = format!("tekton-catalog-{kind}s");
                path.extend(["packages", &format!("tekton-{kind}"), &catalogue, name]);
                path.extend(version);
                drop(path);
                Some(address)
            }
        }
    }
}

/// One request for a document.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RemoteQuery {
    /// The address.
    pub url: Url,
    /// True for one of the hub's entries: the document stands in its answer.
    pub is_hub: bool,
    /// How far the address is trusted.
    pub reach: Reach,
}

/// The port to documents that are at an address. Nothing is authenticated: a file of a forge's own host that needs a token is
/// read by the forge.
///
/// An implementation follows no redirect to another origin, reads at most [`MAX_BYTES`] of a document, and bounds every call by
/// its own deadlines.
#[async_trait]
pub trait Remotes: fmt::Debug + Send + Sync {
    /// The document's text.
    ///
    /// [`ForgeErrorKind::NotFound`](crate::forge::ForgeErrorKind::NotFound) where the address has none,
    /// [`ForgeErrorKind::Unsupported`](crate::forge::ForgeErrorKind::Unsupported) where it leads elsewhere, needs a token, or is an
    /// address that may not be asked, [`ForgeErrorKind::TooLarge`](crate::forge::ForgeErrorKind::TooLarge); these are definite. All
    /// else may pass.
    async fn document(&self, query: &RemoteQuery) -> Result<Vec<u8>, ForgeError>;
}

/// What a delivery got from elsewhere: kept with it, so that another attempt takes the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteRecord {
    /// What it is to be.
    pub kind: RemoteKind,
    /// Where it is, as [`Place`] shows it.
    pub place: String,
    /// sha256 of its bytes, in hex.
    pub sha256: String,
}

/// sha256 of a document's bytes, in hex.
#[must_use]
pub fn digest(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(&Sha256::digest(bytes))
}

/// A file of a repository that an address on its forge names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepoFile {
    /// The repository.
    pub repo: RepoUrl,
    /// The branch or commit.
    pub reference: String,
    /// The file, from the root of the repository.
    pub path: String,
}

/// The file that an address on a repository's own forge names, if it is of one of the forms by which the forges show files:
/// GitHub's `/OWNER/NAME/blob/REF/FILE` (and `raw`), GitLab's `/GROUP/NAME/-/raw/REF/FILE` (and `blob`), Gitea's
/// `/OWNER/NAME/raw/branch/REF/FILE` (and `src`, and `commit`). A branch with a slash can't be told from a folder: its slashes are
/// written as `%2F`.
#[must_use]
pub fn file_of(url: &Url, beside: &RepoUrl) -> Option<RepoFile> {
    if origin(url) != beside.origin() {
        return None;
    }
    let parts: Vec<&str> = url.path().split('/').filter(|part| !part.is_empty()).collect();
    let (at, skip) = parts.iter().enumerate().find_map(|(at, part)| {
        let rest = &parts[at + 1..];
        match *part {
            "-" if matches!(rest.first(), Some(&("raw" | "blob"))) => Some((at, 2)),
            "raw" | "src" if matches!(rest.first(), Some(&("branch" | "commit"))) => Some((at, 2)),
            "blob" | "raw" if at == 2 => Some((at, 1)),
            _ => None,
        }
    })?;
    let [reference, file @ ..] = &parts[at + skip..] else { return None };
    let decoded = |part: &str| {
        percent_encoding(part).filter(|text| text != "." && text != ".." && !text.is_empty())
    };
    let file: Vec<String> = file.iter().map(|part| decoded(part)).collect::<Option<_>>()?;
    if file.is_empty() || at < 2 {
        return None;
    }
    let repo = format!("{}/{}", beside.origin(), parts[..at].join("/")).parse().ok()?;
    Some(RepoFile { repo, reference: decoded(reference)?, path: file.join("/") })
}

/// A segment of a path without its percent-encoding; `None` if it is not UTF-8.
fn percent_encoding(part: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let Some((byte, tail)) = rest.split_first() {
        let hex = tail
            .get(..2)
            .filter(|_| *byte == b'%')
            .and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        bytes.push(hex.unwrap_or(*byte));
        rest = if hex.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    #[test]
    fn an_entry_of_the_hub_has_its_address_by_kind_name_and_version() {
        let task = |name: &str, version: Option<&str>| Wanted {
            kind: RemoteKind::Task,
            place: Place::Hub { name: name.into(), version: version.map(Into::into) },
        };
        let pipeline = Wanted { kind: RemoteKind::Pipeline, ..task("p", Some("0.1.0")) };
        for (hub, wanted, address) in [
            (
                HUB,
                task("git-clone", None),
                "https://artifacthub.io/api/v1/packages/tekton-task/tekton-catalog-tasks/git-clone",
            ),
            (
                "https://hub.example.com/",
                task("a", Some("0.9.0")),
                "https://hub.example.com/api/v1/packages/tekton-task/tekton-catalog-tasks/a/0.9.0",
            ),
            (
                "https://h.example.com/x/api/v1",
                pipeline,
                "https://h.example.com/x/api/v1/packages/tekton-pipeline/tekton-catalog-pipelines/p/0.1.0",
            ),
        ] {
            let rules = RemoteRules { hub: Some(url(hub)), ..RemoteRules::default() };
            assert_eq!(wanted.address(&rules).unwrap().as_str(), address);
            let is_default = hub == HUB;
            let standard = wanted.address(&RemoteRules::default()).unwrap();
            assert_eq!(standard.as_str() == address, is_default);
        }
    }

    #[test]
    fn only_listed_places_may_be_asked_and_only_named_ones_may_be_private() {
        let (a, b) = ("https://github.com/o/a", "https://git.example.com:8443/q/b");
        let (a, b): (RepoUrl, RepoUrl) = (a.parse().unwrap(), b.parse().unwrap());
        let mut rules = RemoteRules::default();
        rules.hosts.insert("http://10.0.0.5:8080".to_owned());
        for (address, reach) in [
            ("https://artifacthub.io/x", Some(Reach::Public)),
            ("https://ARTIFACTHUB.io:443/x", Some(Reach::Public)),
            ("http://artifacthub.io/x", None),
            ("https://raw.githubusercontent.com/o/a/main/t.yaml", Some(Reach::Public)),
            ("https://github.com/o/x/raw/main/t.yaml", Some(Reach::Named)),
            ("https://git.example.com:8443/t.yaml", Some(Reach::Named)),
            ("https://git.example.com/t.yaml", None),
            ("http://10.0.0.5:8080/t.yaml", Some(Reach::Named)),
            ("http://10.0.0.5/t.yaml", None),
            ("http://169.254.169.254/latest/meta-data", None),
            ("https://user@artifacthub.io.evil.example/x", None),
            ("https://evil.example/", None),
        ] {
            assert_eq!(rules.reach(&url(address), &a, &b), reach, "{address}");
        }
        assert_eq!(rules.reach(&url("https://raw.githubusercontent.com/x"), &b, &b), None);
        rules.hub = Some(url("https://hub.internal"));
        assert_eq!(rules.reach(&url("https://hub.internal/x"), &a, &b), Some(Reach::Named));
        assert_eq!(rules.reach(&url("https://artifacthub.io/x"), &a, &b), None);
    }

    #[test]
    fn a_place_is_a_host_and_holds_no_credentials() {
        for (text, want) in [
            ("tasks.example.com", "https://tasks.example.com"),
            (" tasks.example.com:8443 ", "https://tasks.example.com:8443"),
            ("http://10.0.0.5", "http://10.0.0.5"),
            ("https://[::1]:8/", "https://[::1]:8"),
        ] {
            assert_eq!(place(text).map(|url| origin(&url)), Ok(want.to_owned()), "{text}");
        }
        for bad in ["", "ftp://x", "https://u:p@x", "u@x", "https://x/?a", "file:///etc", "a b"] {
            assert!(place(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_file_of_a_forge_is_recognised_by_the_forms_of_its_addresses() {
        let beside: RepoUrl = "https://git.example.com/q/b".parse().unwrap();
        for (path, want) in [
            ("o/r/blob/main/t.yaml", Some(("o/r", "main", "t.yaml"))),
            ("o/r/raw/main/a/t.yaml", Some(("o/r", "main", "a/t.yaml"))),
            ("g/s/r/-/raw/v1/a%20b/t.yaml?inline=false", Some(("g/s/r", "v1", "a b/t.yaml"))),
            ("g/r/-/blob/feature%2Fx/t.yaml", Some(("g/r", "feature/x", "t.yaml"))),
            ("o/r/raw/branch/main/t.yaml", Some(("o/r", "main", "t.yaml"))),
            ("o/r/src/commit/1a2b/d/t.yaml", Some(("o/r", "1a2b", "d/t.yaml"))),
            ("o/r/raw/main", None),
            ("o/r/raw/main/%2e%2e/t.yaml", None),
            ("files/t.yaml", None),
            ("o/r/issues/1", None),
        ] {
            let found = file_of(&url(&format!("https://git.example.com/{path}")), &beside);
            let shown = found.as_ref().map(|f| {
                let repo = f.repo.as_str().strip_prefix("https://git.example.com/").unwrap();
                (repo, f.reference.as_str(), f.path.as_str())
            });
            assert_eq!(shown, want, "{path}");
        }
        assert_eq!(file_of(&url("https://github.com/o/r/blob/main/t.yaml"), &beside), None);
        assert_eq!(
            file_of(&url("https://git.example.com:444/o/r/blob/main/t.yaml"), &beside),
            None
        );
    }

    #[test]
    fn a_digest_is_that_of_sha256sum() {
        assert_eq!(digest(b""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }
}
