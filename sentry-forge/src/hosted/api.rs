//! What the forges' APIs differ in: their requests and answers, and what else each kind has of its own.

use std::fmt;

use async_trait::async_trait;
use http::{HeaderName, HeaderValue, Method};
use sentry_core::clock::Timestamp;
use sentry_core::forge::{Audience, CommitInfo, CommitStatus, ForgeError, StatusState};
use sentry_core::repo::{BranchName, CommitSha, RepoPath, RepoUrl};
use sentry_core::secret::Secret;
use sentry_core::text;
use url::Url;

use crate::credential::{Credential, basic};
use crate::hosted::pulls::Told;
use crate::hosted::{Hosted, Probe};
use crate::http::{Answer, Http};
use crate::rate_limit::Right;

/// A repository, by the name that people use or by the number that stays when it is renamed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RepoRef {
    Path(RepoPath),
    Id(u64),
}

/// What is asked for.
#[derive(Debug, Clone)]
pub(crate) enum Resource {
    Repo,
    Head(BranchName),
    Commit(CommitSha),
    /// What differs between an older and a newer commit.
    Compare(CommitSha, CommitSha),
    /// What a commit changed since it parted from a branch.
    CompareWithBase(BranchName, CommitSha),
    /// Pull requests.
    Pulls(PullsPage),
    /// What the token itself may do, where there is a place to ask.
    Token,
    /// Something that shows a status.
    Report(Call),
}

/// One page of a list of pull requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PullsPage {
    /// The open ones, by when they were opened; otherwise all there ever were, the one that was updated last first.
    pub(crate) only_open: bool,
    /// From 1.
    pub(crate) page: usize,
    /// Those updated before are not wanted, where a forge can be told so.
    pub(crate) since: Option<Timestamp>,
}

impl PullsPage {
    pub(crate) fn open(page: usize) -> Self {
        Self { only_open: true, page, since: None }
    }

    pub(crate) fn updated(page: usize, since: Option<Timestamp>) -> Self {
        Self { only_open: false, page, since }
    }
}

/// A request of one forge's own, about one repository.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Call {
    pub(crate) method: Method,
    /// What follows the repository's path, percent-encoded.
    pub(crate) tail: String,
    /// Sent as JSON.
    pub(crate) body: Option<serde_json::Value>,
}

/// What a forge says differs between two commits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Compared {
    pub(crate) paths: Vec<String>,
    /// True if that is all, and just what differs between the two.
    pub(crate) whole: bool,
}

/// What a forge says about a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RepoFacts {
    pub(crate) id: u64,
    /// `owner/name` as the forge spells it now.
    pub(crate) path: String,
    /// Where git finds it, as text: not yet checked.
    pub(crate) url: String,
    pub(crate) default_branch: Option<String>,
    /// The token's rights, for people.
    pub(crate) rights: String,
    /// Who may read it.
    pub(crate) audience: Audience,
}

/// What a failed request for a branch's head or a commit says about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Absence {
    /// The repository is there, what was asked for is not.
    Certain,
    /// Either may be missing, says the forge in its own words.
    Unclear,
    /// Nothing: it is an error. A 404 without the forge's words comes from something else on the way.
    NoAnswer,
}

/// Why there is no request for a question, or no answer to one.
pub(crate) const NOT_ASKED: &str = "the API has no request for that";

/// One kind of API. Everything but tokens, probes and [`Api::show_check`] is pure; a `String` error is what is wrong with
/// an answer, as a clause, and never quotes the answer.
#[cfg_attr(test, mockall::automock)]
#[async_trait]
pub(crate) trait Api: fmt::Debug + Send + Sync {
    /// The API's base, ending with a slash.
    fn base(&self) -> &Url;

    /// `scheme://host[:port]` of the repositories' URLs.
    fn web_origin(&self) -> &str;

    /// What proves who we are: a token, or the key that tokens are made with.
    fn credential(&self, right: Right) -> &Credential;

    /// True if statuses have a credential of their own.
    fn reports_apart(&self) -> bool {
        false
    }

    /// The token to send, made from the credential's secret.
    async fn token(
        &self,
        http: &Http,
        secret: &Secret,
        right: Right,
    ) -> Result<Secret, ForgeError> {
        let _ = (http, right);
        Ok(secret.clone())
    }

    /// Drops a token that was made and then refused; false if tokens aren't made, so that another one can't be had.
    async fn drop_token(&self, right: Right, refused: &Secret) -> bool {
        let _ = (right, refused);
        false
    }

    /// False if only git gives heads and changes: the API has no good answer, or the token can't use it.
    fn reads_branches(&self) -> bool {
        true
    }

    /// The header that carries the token to the API.
    fn authorization(
        &self,
        token: &Secret,
        right: Right,
    ) -> Result<(HeaderName, HeaderValue), ForgeError>;

    /// A token that others may clone this repository with; where tokens are made, a new one for it alone.
    async fn clone_token(
        &self,
        http: &Http,
        secret: &Secret,
        repo: &RepoPath,
    ) -> Result<Secret, ForgeError> {
        let _ = repo;
        self.token(http, secret, Right::Read).await
    }

    /// True if [`Api::clone_token`] makes one that ends and can read this repository alone.
    fn makes_clone_tokens(&self) -> bool {
        false
    }

    /// The user name that git sends beside the token.
    fn git_user(&self) -> &'static str;

    /// The `Authorization` header that carries the token to git over HTTP.
    fn git_authorization(&self, token: &Secret) -> Result<HeaderValue, ForgeError> {
        basic(self.git_user(), token)
    }

    /// The path below the base, percent-encoded.
    fn path(&self, place: &RepoRef, wanted: &Resource) -> Result<String, String>;

    /// The `Accept` header.
    fn accept(&self, wanted: &Resource) -> &'static str;

    /// The head from a 200 answer; nobody asks where [`Api::reads_branches`] is never true.
    fn read_head(&self, answer: &Answer, branch: &BranchName) -> Result<CommitSha, String> {
        let _ = (answer, branch);
        Err(NOT_ASKED.to_owned())
    }

    /// What a 4xx answer says about the branch or commit that was asked for.
    fn absence(&self, answer: &Answer) -> Absence;

    /// The repository from a 200 answer.
    fn read_repo(&self, answer: &Answer) -> Result<RepoFacts, String>;

    /// The commit from a 200 answer, with its own id.
    fn read_commit(&self, answer: &Answer) -> Result<(CommitSha, CommitInfo), String>;

    /// What differs, from a 200 answer to [`Resource::Compare`] with these two commits; nobody asks where
    /// [`Api::reads_branches`] is never true.
    fn read_changes(
        &self,
        answer: &Answer,
        from: &CommitSha,
        to: &CommitSha,
    ) -> Result<Compared, String> {
        let _ = (answer, from, to);
        Err(NOT_ASKED.to_owned())
    }

    /// The pull requests from a 200 answer to [`Resource::Pulls`]. One whose branches have names that none can have is
    /// left out.
    fn read_pulls(&self, answer: &Answer) -> Result<Vec<Told>, String>;

    /// What a commit changed, from a 200 answer to [`Resource::CompareWithBase`]; nobody asks where
    /// [`Api::reads_branches`] is never true.
    fn read_changes_since_base(&self, answer: &Answer) -> Result<Compared, String> {
        let _ = answer;
        Err(NOT_ASKED.to_owned())
    }

    /// The calls that show a status, one for each place that it has; none if this kind of token can't.
    fn status(&self, status: &CommitStatus) -> Vec<Call>;

    /// Checks a 2xx answer to [`Api::status`].
    fn read_status(&self, answer: &Answer) -> Result<(), String>;

    /// True if a 4xx answer says that the commit has the status already.
    fn is_set(&self, answer: &Answer, state: StatusState) -> bool {
        let _ = (answer, state);
        false
    }

    /// Shows a status as a check that is made once and changed from then on, where this token may make such; `None`: by
    /// the calls of [`Api::status`].
    async fn show_check(
        &self,
        hosted: &Hosted,
        repo: &RepoUrl,
        status: &CommitStatus,
    ) -> Option<Result<(), ForgeError>> {
        let _ = (hosted, repo, status);
        None
    }

    /// True if a 4xx answer to a call says that the commit is not there, and not that the token lacks a right.
    fn lacks_commit(&self, answer: &Answer) -> bool;

    /// What to do where the token lacks this right.
    fn remedy(&self, right: Right) -> &'static str;

    /// How a repository may be read, without anything about statuses.
    async fn reading(&self, hosted: &Hosted, repo: &RepoUrl) -> Result<Probe, ForgeError> {
        hosted.reading(repo).await
    }

    /// Whether statuses may be set, as far as the forge shows it without setting one, and how that is known.
    async fn reporting(
        &self,
        hosted: &Hosted,
        repo: &RepoUrl,
    ) -> Result<(Option<bool>, String), ForgeError>;

    /// The repository's number in the path of a redirect.
    fn moved_to(&self, path: &str) -> Option<u64>;
}

/// A time of an answer that nothing depends on: one that can't be read is not known.
pub(crate) fn time(text: Option<&str>) -> Option<Timestamp> {
    text?.parse().ok()
}

/// Reads JSON, if the answer says that it is JSON.
pub(crate) fn json<T: serde::de::DeserializeOwned>(answer: &Answer) -> Result<T, String> {
    let kind = content_type(answer);
    if !(kind == "application/json" || kind.ends_with("+json")) {
        return Err(format!("the answer is {} instead of JSON", shown_type(&kind)));
    }
    // The position is reported, the content is not.
    serde_json::from_slice(&answer.body).map_err(|e| {
        format!(
            "the JSON does not match the API's format at line {} column {}",
            e.line(),
            e.column()
        )
    })
}

/// The media type in lower case without parameters, at most 60 characters; empty if there is none.
pub(crate) fn content_type(answer: &Answer) -> String {
    let value = answer.headers.get(http::header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
    let kind = value.unwrap_or_default().split(';').next().unwrap_or_default();
    kind.trim().chars().take(60).collect::<String>().to_ascii_lowercase()
}

/// Types seen where another was requested.
const OTHER_TYPES: &[&str] = &[
    "application/json",
    "application/octet-stream",
    "application/xml",
    "text/html",
    "text/plain",
    "text/xml",
];

/// A media type for a message. A server may write anything there, in part and in lower case as it was read: only what is
/// known is repeated.
pub(crate) fn shown_type(kind: &str) -> String {
    match kind {
        "" => "without a media type".to_owned(),
        known if OTHER_TYPES.contains(&known) => format!("{known:?}"),
        _ => "of another media type".to_owned(),
    }
}

/// The `message` of a JSON error, empty if there is none.
pub(crate) fn message(answer: &Answer) -> String {
    #[derive(serde::Deserialize)]
    struct Error {
        message: String,
    }
    json::<Error>(answer).map(|e| e.message).unwrap_or_default()
}

/// The status's link, if the forge would take it: a web address of at most `most` characters.
pub(crate) fn link(status: &CommitStatus, most: usize) -> Option<&str> {
    let link = status.link.as_deref()?;
    let web = link.starts_with("https://") || link.starts_with("http://");
    (web && link.chars().count() <= most).then_some(link)
}

/// The status's text as one line of at most 140 characters, which is GitHub's limit; GitLab's is 255.
pub(crate) fn description(status: &CommitStatus) -> String {
    const MOST: usize = 140;
    text::cut(&text::line(&status.description), MOST)
}

/// A repository's path on its instance: without the path that the instance itself lives under, which has no slashes at its
/// ends; `None` if it is not below that.
pub(crate) fn below<'a>(root: &str, path: &'a RepoPath) -> Option<&'a str> {
    match root {
        "" => Some(path.as_str()),
        root => path.as_str().strip_prefix(root)?.strip_prefix('/'),
    }
}

/// A status as GitHub shaped it, and others after it: one for each commit and context.
pub(crate) fn plain_status(status: &CommitStatus) -> Call {
    let state = match status.state {
        StatusState::Pending => "pending",
        // Statuses know no neutral end; the text says it.
        StatusState::Success | StatusState::Neutral => "success",
        StatusState::Failure => "failure",
        StatusState::Error | StatusState::Cancelled => "error",
    };
    let mut body = serde_json::json!({
        "state": state,
        "context": status.context,
        "description": description(status),
    });
    if let Some(link) = link(status, usize::MAX) {
        body["target_url"] = link.into();
    }
    let tail = format!("statuses/{}", status.revision.sha);
    Call { method: Method::POST, tail, body: Some(body) }
}

/// The number after `marker` in a path.
pub(crate) fn number_after(path: &str, marker: &str) -> Option<u64> {
    let (_, rest) = path.split_once(marker)?;
    rest.split('/').next()?.parse().ok()
}

/// Checks an API's base: https, or http on this machine. Ends it with a slash.
///
/// # Errors
/// [`sentry_core::forge::ForgeErrorKind::Local`], with what to write instead.
pub(crate) fn base(forge: &str, mut url: Url) -> Result<Url, ForgeError> {
    let local = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    };
    let clean = url.username().is_empty() && url.password().is_none() && url.query().is_none();
    if !(clean && (url.scheme() == "https" || (url.scheme() == "http" && local))) {
        return Err(ForgeError::new(
            sentry_core::forge::ForgeErrorKind::Local,
            format!("{forge}: the address of the API is invalid"),
        )
        .with_hint(
            "write https://HOST, without user, password and query; http only for loopback",
        ));
    }
    url.set_fragment(None);
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    Ok(url)
}

/// `scheme://host[:port]` of a URL.
pub(crate) fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// One segment of a path: all but letters, digits and `*-._` is percent-encoded.
pub(crate) fn segment(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}
