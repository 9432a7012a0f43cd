//! The kinds of forges: each one's word, and all that the file says of it. Another kind is another word and its facts here.

use schemars::JsonSchema;
use sentry_core::closed_list::ClosedList as _;

use crate::node::Node;
use crate::place::{At, Place};
use crate::problem::Report;
use crate::raw::raw;
use crate::read::{Fields, Read};
use crate::values::SecretText;

sentry_core::closed_list! {
    /// What kind of place hosts a repository.
    pub enum ForgeKind {
        /// github.com or GitHub Enterprise.
        GitHub = "github",
        /// gitlab.com or a self-managed GitLab.
        GitLab = "gitlab",
        /// A Gitea or a Forgejo.
        Gitea = "gitea",
        /// Any git server, or a directory.
        Git = "git",
    }
}

raw! {
    /// Tokens in the short form; each is used for the forge of its type.
    RawAuth {
        /// For GitHub.
        github_token "github_token": SecretText,
        /// For GitLab.
        gitlab_token "gitlab_token": SecretText,
        /// For Gitea and Forgejo.
        gitea_token "gitea_token": SecretText,
        /// For a plain git server.
        git_token "git_token": SecretText,
    }
}

impl RawAuth {
    pub(crate) fn token(&self, kind: ForgeKind) -> Option<&At<SecretText>> {
        match kind {
            ForgeKind::GitHub => self.github_token.as_ref(),
            ForgeKind::GitLab => self.gitlab_token.as_ref(),
            ForgeKind::Gitea => self.gitea_token.as_ref(),
            ForgeKind::Git => self.git_token.as_ref(),
        }
    }
}

/// What the file and the commands know of a kind.
struct Facts {
    /// The host that is meant where a forge has no `url`.
    public_host: Option<&'static str>,
    /// What tells the kind from a host's name.
    names: &'static [&'static str],
    /// The keys of a forge that are for this kind.
    keys: &'static [&'static str],
    /// What a `webhook_secret` begins with that is a signing token: base64 follows.
    signing_token: Option<&'static str>,
    /// Where its pages of commits are, and those that compare two, below a repository's.
    commits: Option<[&'static [&'static str]; 2]>,
    /// What a token for it must allow.
    token_rights: &'static str,
}

const GITHUB: Facts = Facts {
    public_host: Some("github.com"),
    names: &["github"],
    keys: &["app", API, REPORTS, WEBHOOKS],
    signing_token: None,
    commits: Some([&["commit"], &["compare"]]),
    token_rights: "fine-grained token: Contents read-only; Commit statuses read and write to show verdicts",
};

const GITLAB: Facts = Facts {
    public_host: Some("gitlab.com"),
    names: &["gitlab"],
    keys: &["token_kind", API, REPORTS, WEBHOOKS],
    signing_token: Some("whsec_"),
    commits: Some([&["-", "commit"], &["-", "compare"]]),
    token_rights: "project or group access token: read_api and read_repository; api to show verdicts",
};

const GITEA: Facts = Facts {
    public_host: None,
    names: &["gitea", "forgejo", "codeberg.org"],
    keys: &[REPORTS, WEBHOOKS],
    signing_token: None,
    commits: Some([&["commit"], &["compare"]]),
    token_rights: "access token: read:repository; write:repository to show verdicts",
};

const GIT: Facts = Facts {
    public_host: None,
    names: &[],
    keys: &["username", "ssh"],
    signing_token: None,
    commits: None,
    token_rights: "password or token that may fetch",
};

/// `polling: api`.
pub(crate) const API: &str = "polling";
/// `report_token`, and its file.
pub(crate) const REPORTS: &str = "report_token";
/// `webhook_secret`, and its file.
pub(crate) const WEBHOOKS: &str = "webhook_secret";

impl ForgeKind {
    fn facts(self) -> &'static Facts {
        match self {
            Self::GitHub => &GITHUB,
            Self::GitLab => &GITLAB,
            Self::Gitea => &GITEA,
            Self::Git => &GIT,
        }
    }

    /// The kind that a host's name speaks of; [`ForgeKind::Git`] if it speaks of none.
    #[must_use]
    pub fn of_host(host: &str) -> Self {
        let speaks = |kind: &Self| kind.facts().names.iter().any(|name| host.contains(name));
        Self::all().find(speaks).unwrap_or(Self::Git)
    }

    /// The kind whose public instance this host is.
    pub(crate) fn of_public_host(host: &str) -> Option<Self> {
        Self::all().find(|kind| kind.public_host() == Some(host))
    }

    /// The host of a forge of this kind without a URL.
    #[must_use]
    pub fn public_host(self) -> Option<&'static str> {
        self.facts().public_host
    }

    /// True for what has an API with statuses, pages, and webhooks, and is asked over HTTP only; false for plain git.
    #[must_use]
    pub fn is_hosted(self) -> bool {
        self != Self::Git
    }

    /// True if a forge of this kind has to say where it is: there is no public instance that could be meant.
    pub(crate) fn wants_url(self) -> bool {
        self.is_hosted() && self.public_host().is_none()
    }

    /// Where the pages of commits are, and those that compare two commits as `A...B`: as pieces of the path below a
    /// repository's; `None` if it has none.
    #[must_use]
    pub fn commits(self) -> Option<[&'static [&'static str]; 2]> {
        self.facts().commits
    }

    /// What a token must allow, for people.
    #[must_use]
    pub fn token_rights(self) -> &'static str {
        self.facts().token_rights
    }

    /// What begins the signing tokens that webhooks may prove themselves with.
    pub(crate) fn signing_token(self) -> Option<&'static str> {
        self.facts().signing_token
    }

    /// True if a key has a meaning for a forge of this kind.
    pub(crate) fn takes(self, key: &str) -> bool {
        self.facts().keys.contains(&key)
    }

    /// Every kind's word: `a, b or c`.
    pub(crate) fn any() -> String {
        listed(Self::all(), "or")
    }

    /// The kinds that a key is for: `type a`, or `types a and b`.
    pub(crate) fn taking(key: &str) -> String {
        let kinds: Vec<Self> = Self::all().filter(|kind| kind.takes(key)).collect();
        let noun = if kinds.len() == 1 { "type" } else { "types" };
        format!("{noun} {}", listed(kinds, "and"))
    }
}

fn listed(kinds: impl IntoIterator<Item = ForgeKind>, last: &str) -> String {
    let words: Vec<&str> = kinds.into_iter().map(ForgeKind::as_str).collect();
    match words.split_last() {
        Some((end, [])) => (*end).to_owned(),
        Some((end, words)) => format!("{} {last} {end}", words.join(", ")),
        None => String::new(),
    }
}
