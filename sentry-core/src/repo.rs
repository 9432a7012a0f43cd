//! Parsed names of the git world: once one of these exists, it is safe to hand to a forge or a program.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use url::Url;

/// Why a text is not a repository URL, path, branch or commit. Never retried: a person must change the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {value:?}: {problem}")]
pub struct ParseError {
    what: &'static str,
    value: String,
    problem: String,
}

impl ParseError {
    pub(crate) fn new(what: &'static str, value: &str, problem: impl Into<String>) -> Self {
        Self { what, value: value.to_owned(), problem: problem.into() }
    }

    /// What is wrong with the value, without the value itself.
    #[must_use]
    pub fn problem(&self) -> &str {
        &self.problem
    }
}

/// The commit id of a SHA-1 (40 digits) or SHA-256 (64 digits) repository, in lower-case hex.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommitSha(Arc<str>);

impl CommitSha {
    /// The id as lower-case hex.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first eight digits, for names and for people.
    #[must_use]
    pub fn short(&self) -> &str {
        &self.0[..8]
    }

    /// The hash that git computed the id with: `sha1` or `sha256`.
    #[must_use]
    pub fn algorithm(&self) -> &'static str {
        if self.0.len() == 40 { "sha1" } else { "sha256" }
    }
}

impl FromStr for CommitSha {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let hex = text.bytes().all(|b| b.is_ascii_hexdigit());
        if !hex || !(text.len() == 40 || text.len() == 64) {
            return Err(ParseError::new("commit", text, "not 40 or 64 hexadecimal digits"));
        }
        if text.bytes().all(|b| b == b'0') {
            return Err(ParseError::new("commit", text, "the null id is not a commit"));
        }
        let is_lower = !text.bytes().any(|b| b.is_ascii_uppercase());
        Ok(Self(if is_lower { text.into() } else { text.to_ascii_lowercase().into() }))
    }
}

impl fmt::Display for CommitSha {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A branch's name without `refs/heads/`, valid by `git check-ref-format --branch`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BranchName(Arc<str>);

impl BranchName {
    /// The name without `refs/heads/`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The whole ref: `refs/heads/<name>`.
    #[must_use]
    pub fn full_ref(&self) -> String {
        format!("refs/heads/{}", self.0)
    }
}

impl FromStr for BranchName {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        match if is_plain(text) { None } else { ref_problem(text) } {
            None => Ok(Self(text.into())),
            Some(problem) => Err(ParseError::new("branch", text, problem)),
        }
    }
}

impl fmt::Display for BranchName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A tag's name, by the rules of a branch's name: stricter than git's by a leading dash.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TagName(Arc<str>);

impl TagName {
    const PLACE: &str = "refs/tags/";

    /// The name without `refs/tags/`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0[Self::PLACE.len()..]
    }

    /// The whole ref: `refs/tags/<name>`.
    #[must_use]
    pub fn full_ref(&self) -> &str {
        &self.0
    }

    /// The name as one that a branch could have.
    pub(crate) fn as_branch(&self) -> BranchName {
        BranchName(self.as_str().into())
    }
}

impl FromStr for TagName {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        match if is_plain(text) { None } else { ref_problem(text) } {
            None => Ok(Self(format!("{}{text}", Self::PLACE).into())),
            Some(problem) => Err(ParseError::new("tag", text, problem)),
        }
    }
}

impl fmt::Display for TagName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// True for a name of letters, digits, dashes, underscores and single slashes, which breaks no rule: a repository may have
/// very many.
fn is_plain(name: &str) -> bool {
    let mut before = b'/';
    for byte in name.bytes() {
        let fits = match byte {
            b'/' => before != b'/',
            byte => byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_',
        };
        if !fits {
            return false;
        }
        before = byte;
    }
    before != b'/' && !name.starts_with('-') && name.len() <= 244 && name != "HEAD"
}

/// The rules of git-check-ref-format(1) for a branch, which hold for tags as well, as the first one that the name breaks.
fn ref_problem(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        return Some("is empty");
    }
    if name.len() > 244 {
        return Some("is longer than 244 bytes");
    }
    if name.starts_with('-') {
        return Some("starts with a dash");
    }
    if name == "@" || name == "HEAD" {
        return Some("is a name that git reserves");
    }
    if name.contains("..") || name.contains("@{") {
        return Some("contains `..` or `@{`");
    }
    if name.chars().any(|c| c.is_control() || " ~^:?*[\\\u{7f}".contains(c)) {
        return Some("contains a space, a control character or one of ~ ^ : ? * [ \\");
    }
    if name.ends_with('.') {
        return Some("ends with a dot");
    }
    if name.split('/').any(|p| p.is_empty() || p.starts_with('.') || p.ends_with(".lock")) {
        return Some("has a part that is empty, starts with a dot or ends with `.lock`");
    }
    None
}

/// How a repository is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// Smart HTTP over TLS.
    Https,
    /// Smart HTTP without TLS: accepted for loopback hosts only.
    Http,
    /// git over ssh.
    Ssh,
    /// A directory of this machine.
    File,
}

impl Scheme {
    /// The scheme as git spells it in URLs and in `GIT_ALLOW_PROTOCOL`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Http => "http",
            Self::Ssh => "ssh",
            Self::File => "file",
        }
    }
}

/// Where a repository is. Holds no password: a token belongs to the forge, not to the URL.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepoUrl {
    url: Url,
    scheme: Scheme,
    /// What git is given, where the URL says less: an address of ssh as it was written. Only git tells
    /// `host:path`, which begins in a home directory, from `ssh://host/path` as each server does.
    ssh: Option<String>,
}

impl RepoUrl {
    /// The URL as text; never with a password. An address of ssh is as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.ssh.as_deref().unwrap_or(self.url.as_str())
    }

    /// True for another spelling of the same user, host, port and path. Of ssh's addresses a path from the home directory
    /// counts as one from the root: nearly every server has one of the two.
    #[must_use]
    pub fn is_same_place(&self, other: &Self) -> bool {
        self.url == other.url
    }

    /// The URL in parsed form.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// How the repository is reached.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The host name, `None` for a directory of this machine.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        self.url.host_str()
    }

    /// `scheme://host[:port]`: what a token may be sent to. Empty path, no trailing slash.
    #[must_use]
    pub fn origin(&self) -> String {
        match (self.url.host_str(), self.url.port()) {
            (Some(host), Some(port)) => format!("{}://{host}:{port}", self.url.scheme()),
            (Some(host), None) => format!("{}://{host}", self.url.scheme()),
            (None, _) => format!("{}://", self.url.scheme()),
        }
    }

    /// The repository's path on its host: `owner/name`, or `group/sub/name`; without `.git`.
    #[must_use]
    pub fn path(&self) -> RepoPath {
        let path = self.url.path().trim_matches('/');
        RepoPath(percent_decode(path.strip_suffix(".git").unwrap_or(path)))
    }

    /// True where talking to it stays on this machine: a `file` URL or a loopback host.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self.url.host() {
            None => true,
            Some(url::Host::Domain(name)) => name == "localhost",
            Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
            Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        }
    }
}

fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let decoded = (byte == b'%')
            .then(|| tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok()))
            .flatten()
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(decoded.unwrap_or(byte));
        rest = if decoded.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

impl FromStr for RepoUrl {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let err = |problem: String| {
            ParseError::new("repository URL", &without_credentials(text), problem)
        };
        if text.chars().any(|c| c.is_control() || c == ' ') {
            return Err(err("contains a space or a control character".into()));
        }
        let url = match scp_like(text) {
            Some(ssh) => Url::parse(&ssh),
            None => Url::parse(text),
        };
        let url = url.map_err(|e| err(format!("{e}; expected https://host/owner/name")))?;
        let scheme = match url.scheme() {
            "https" => Scheme::Https,
            "http" => Scheme::Http,
            "ssh" => Scheme::Ssh,
            "file" => Scheme::File,
            other => return Err(err(format!("scheme `{other}` is not one of https, ssh, file"))),
        };
        let ssh = (scheme == Scheme::Ssh).then(|| text.to_owned());
        // What is written is what git asks for: nothing may be resolved away before it is looked at.
        if ssh
            .as_deref()
            .is_some_and(|text| percent_decode(text).split(['/', ':']).any(|part| part == ".."))
        {
            return Err(err("has a part that is `..`".into()));
        }
        let this = Self { url, scheme, ssh };
        match this.problem() {
            None => Ok(this),
            Some(problem) => Err(err(problem)),
        }
    }
}

impl RepoUrl {
    fn problem(&self) -> Option<String> {
        let url = &self.url;
        let has_user = self.scheme != Scheme::Ssh && !url.username().is_empty();
        if url.password().is_some() || has_user || self.ssh.as_deref().is_some_and(scp_password) {
            return Some(
                "contains credentials; put the token into the forge's `token` instead".into(),
            );
        }
        // git decodes a URL before it hands user and host to ssh.
        let dashed = |text: &str| percent_decode(text).starts_with('-');
        if dashed(url.username()) || url.host_str().is_some_and(dashed) {
            return Some("has a user or host that starts with a dash".into());
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Some("has a `?` or `#` part; a repository URL has none".into());
        }
        if self.scheme == Scheme::Http && !self.is_local() {
            return Some("http would send the token in the clear; use https".into());
        }
        if self.scheme != Scheme::File && url.host_str().is_none_or(str::is_empty) {
            return Some("has no host".into());
        }
        if self.scheme == Scheme::File && url.host_str().is_some_and(|h| !h.is_empty()) {
            return Some("a file URL has no host; write file:///path/to/repository".into());
        }
        let path = self.path();
        if path.0.is_empty() || path.0.split('/').any(|part| part == ".." || part.starts_with('-'))
        {
            return Some("names no repository: the path is empty or has a part that is `..` or starts with a dash".into());
        }
        None
    }
}

/// `git@host:group/name.git`, as people copy it from a forge's page, as an ssh URL: user, host and port are what git takes
/// for them (git-clone(1), "GIT URLS"; `[git@host:2222]:path` is git's own). Nothing of its path is decoded.
fn scp_like(text: &str) -> Option<String> {
    // `http:\\host` is read as a URL everywhere: not as a host called `http`.
    if text.contains("://") || text.contains('\\') {
        return None;
    }
    let in_brackets = text.find("@[").map_or(0, |at| at + 1);
    let bracket =
        text[in_brackets..].starts_with('[').then(|| text[in_brackets..].find(']')).flatten();
    let host_end = bracket.map_or(0, |end| in_brackets + end);
    let colon = host_end + text[host_end..].find(':')?;
    let (place, path) = (&text[..colon], &text[colon + 1..]);
    // `name::address` is one of git's helpers, which are programs.
    let is_helper = path.starts_with(':');
    if place.is_empty() || place.contains('/') || path.is_empty() || is_helper {
        return None;
    }
    let bare = place.replace(['[', ']'], "");
    let (user, host) = bare.rsplit_once('@').map_or((None, bare.as_str()), |(u, h)| (Some(u), h));
    let is_ipv6 = host.parse::<std::net::Ipv6Addr>().is_ok();
    let host = if is_ipv6 { format!("[{host}]") } else { host.to_owned() };
    let user = user.map(|user| format!("{user}@")).unwrap_or_default();
    let path =
        path.trim_start_matches('/').replace('%', "%25").replace('?', "%3F").replace('#', "%23");
    Some(format!("ssh://{user}{host}/{path}"))
}

/// True for `user:password@host:path`, which git reads as a path on a host that is called `user`.
fn scp_password(text: &str) -> bool {
    let (_, path) = text.split_once(':').unwrap_or_default();
    let first = path.split('/').next().unwrap_or_default();
    !text.contains("://") && first.split_once('@').is_some_and(|(_, host)| host.contains(':'))
}

/// What was written for a URL, fit for messages: without what stands before an `@` that may be a password or a token, and
/// without a query.
#[must_use]
pub fn without_credentials(text: &str) -> String {
    let (place, rest) = match text.find(['?', '#']) {
        Some(at) if text.len() > at + 1 => (&text[..at], format!("{}…", &text[at..=at])),
        _ => (text, String::new()),
    };
    let user = text.find(":/").or_else(|| text.find(":\\")).map_or(0, |colon| {
        let slashes = text[colon + 1..].find(|c| !matches!(c, '/' | '\\'));
        slashes.map_or(text.len(), |after| colon + 1 + after)
    });
    match text.rfind('@') {
        // `git@host:path` has a user, and no password.
        Some(at) if at > user && (user > 0 || text[..at].contains(':')) => {
            format!("{}…{}{rest}", &text[..user], place.get(at..).unwrap_or("@…"))
        }
        _ => format!("{place}{rest}"),
    }
}

impl fmt::Display for RepoUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Digests of configurations are made of it and kept: what has no spelling of its own is shown as it always was.
impl fmt::Debug for RepoUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("RepoUrl");
        shown.field("url", &self.url).field("scheme", &self.scheme);
        if let Some(ssh) = self.ssh.as_ref().filter(|ssh| *ssh != self.url.as_str()) {
            shown.field("ssh", ssh);
        }
        shown.finish()
    }
}

/// A repository's path on its forge: `owner/name`, or `group/sub-group/name` on GitLab; without `.git`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepoPath(String);

impl RepoPath {
    /// The whole path.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last part: the repository's own name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    /// All before the last part: the owner, or the group with its sub-groups. Empty where there is none.
    #[must_use]
    pub fn owner(&self) -> &str {
        self.0.rsplit_once('/').map_or("", |(owner, _)| owner)
    }
}

impl FromStr for RepoPath {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let bad = |part: &str| part.is_empty() || part == "." || part == "..";
        if text.len() > 1024 || text.chars().any(char::is_control) || text.split('/').any(bad) {
            let problem = "must be a path such as owner/name";
            return Err(ParseError::new("repository path", text, problem));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for RepoPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A directory inside a repository, relative, with `/` between its parts and neither `.` nor `..` among them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DirPath(String);

impl DirPath {
    /// The path without a leading or trailing slash.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The parts from the repository's root down.
    pub fn parts(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }
}

/// `.tekton`, where Pipelines-as-Code looks as well.
impl Default for DirPath {
    fn default() -> Self {
        Self(".tekton".to_owned())
    }
}

impl FromStr for DirPath {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let trimmed = text.strip_prefix("./").unwrap_or(text).trim_end_matches('/');
        let bad = |part: &str| part.is_empty() || part == "." || part == ".." || part == ".git";
        if trimmed.starts_with('/') || trimmed.split('/').any(bad) {
            return Err(ParseError::new(
                "directory",
                text,
                "must be a relative path inside the repository, such as `.tekton`",
            ));
        }
        if trimmed.starts_with('-') || trimmed.chars().any(char::is_control) {
            return Err(ParseError::new(
                "directory",
                text,
                "starts with a dash or contains a control character",
            ));
        }
        Ok(Self(trimmed.to_owned()))
    }
}

impl fmt::Display for DirPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn a_name_that_is_taken_for_plain_breaks_no_rule(
            name in "(HEAD|-|[a-zH/_-]){0,6}([a-zA-Z0-9/_.@{ ~-]){0,8}(x{230})?(x{16})?",
        ) {
            assert!(!is_plain(&name) || ref_problem(&name).is_none(), "{name}");
        }
    }

    #[test]
    fn a_commit_is_40_or_64_hex_digits_and_not_null() {
        assert_eq!("A".repeat(40).parse::<CommitSha>().unwrap().as_str(), "a".repeat(40));
        assert_eq!("1".repeat(64).parse::<CommitSha>().unwrap().algorithm(), "sha256");
        for bad in ["", "abc", &"g".repeat(40), &"0".repeat(40), &"a".repeat(41), "<html>"] {
            assert!(bad.parse::<CommitSha>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_branch_follows_gits_own_rules() {
        for good in [
            "main",
            "release/1.0",
            "feat/x#1",
            "fix#1",
            "ünï",
            "a@b",
            "dependabot/npm_and_yarn/x-1.2",
        ] {
            assert!(good.parse::<BranchName>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "-x",
            "--upload-pack=sh",
            "a..b",
            "a b",
            "a/.b",
            "a.lock",
            "a/",
            "/a",
            "a//b",
            "x.",
            "@",
            "a@{b",
            "a\nb",
            "a*",
        ] {
            assert!(bad.parse::<BranchName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn urls_of_every_supported_kind_are_read() {
        let url: RepoUrl = "https://gitlab.example.com/qa/sub/repo-b.git".parse().unwrap();
        assert_eq!(url.path().as_str(), "qa/sub/repo-b");
        assert_eq!(
            (url.path().owner().to_owned(), url.path().name().to_owned()),
            ("qa/sub".into(), "repo-b".into())
        );
        assert_eq!(url.origin(), "https://gitlab.example.com");
        let ssh: RepoUrl = "git@github.com:example/repo-a.git".parse().unwrap();
        assert_eq!(ssh.as_str(), "git@github.com:example/repo-a.git");
        assert!(ssh.is_same_place(&"ssh://git@github.com/example/repo-a.git".parse().unwrap()));
        let file: RepoUrl = "file:///srv/git/a.git".parse().unwrap();
        assert!(file.is_local());
        assert!("http://127.0.0.1:8080/a.git".parse::<RepoUrl>().unwrap().is_local());
    }

    #[test]
    fn a_url_with_a_token_is_refused_without_repeating_the_token() {
        let error =
            "https://user:s3cr3t@github.com/a/b".parse::<RepoUrl>().unwrap_err().to_string();
        assert!(error.contains("contains credentials"), "{error}");
        assert!(!error.contains("s3cr3t"), "{error}");
    }

    #[test]
    fn urls_that_could_reach_a_program_as_an_option_or_leak_are_refused() {
        for bad in [
            "http://example.com/a/b",
            "ext::sh -c id",
            "ssh://-oProxyCommand=id/x",
            "ssh://-x@h/a",
            "https://h/",
            "https://h/a/../../b/..%2f",
            "https://h/a?x=1",
            "https://h/-a",
            "ftp://h/a",
            "file://host/a",
            "--upload-pack=x",
            "",
        ] {
            let parsed = bad.parse::<RepoUrl>();
            assert!(
                parsed.is_err() || !parsed.clone().unwrap().path().as_str().contains(".."),
                "{bad}: {parsed:?}"
            );
        }
        let backslashes: RepoUrl = "http:\\\\127.0.0.1:8080/a/b".parse().unwrap();
        assert_eq!(backslashes.origin(), "http://127.0.0.1:8080", "no ssh to a host called http");
        for helper in ["ext::sh -c id", "ext::sh", "fd::17", "git@host::r", "[host]::r"] {
            assert!(helper.parse::<RepoUrl>().is_err(), "{helper}");
        }
        for option in ["-oProxyCommand=id", "%2doProxyCommand=id", "%2Dl@h"] {
            assert!(format!("ssh://{option}/x").parse::<RepoUrl>().is_err(), "{option}");
        }
    }

    #[test]
    fn a_directory_stays_inside_the_repository() {
        assert_eq!("./.tekton/".parse::<DirPath>().unwrap().as_str(), ".tekton");
        for bad in ["", "..", "a/../b", "/etc", "a//b", ".git", "-x"] {
            assert!(bad.parse::<DirPath>().is_err(), "{bad}");
        }
    }
}
