//! What forges with an API have in common: asking an API with care, and git for what the API is too expensive for.

pub(crate) mod api;
pub(crate) mod changes;
mod exchange;
mod heads;
mod known;
pub(crate) mod pulls;
mod questions;
mod source;
mod statuses;

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use http::{StatusCode, header};
use sentry_core::forge::{ForgeError, ForgeErrorKind};
use sentry_core::repo::RepoUrl;

use crate::git::Transport;
use crate::git::ls_refs::NEW;
use crate::hosted::api::{Api, RepoFacts, RepoRef, Resource};
use crate::http::{Answer, Http};
use crate::rate_limit::{RateLimit, Right};
use crate::status::{StatusError, check_status};

/// The largest answer of the API that is read, in bytes. A commit's list of files is what makes answers large.
const CAP: usize = 4 << 20;

/// How heads are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Polling {
    /// The API for up to five exact branches of a repository, git for more and for tags.
    #[default]
    Auto,
    /// The API for every exact branch. Globs and tags need git in any case.
    Api,
    /// git's `ls-refs`, one request per repository, which counts against no API limit.
    Git,
}

/// A forge's answer about what the token may do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Probe {
    /// True if the repository's contents can be read.
    pub can_read: bool,
    /// What the forge says about the token's rights, for people.
    pub rights: String,
    /// The default branch, if the forge names it.
    pub default_branch: Option<String>,
    /// Whether statuses may be set, as far as the forge shows it without setting one.
    pub can_report: Option<bool>,
    /// How that is known, or why it is not, for people.
    pub reporting: String,
}

/// A forge with an API: each kind's folder has how one is made.
#[derive(Debug)]
pub struct Hosted {
    name: String,
    pub(crate) api: Box<dyn Api>,
    http: Http,
    polling: Polling,
    limit: RateLimit,
    /// Where statuses have a credential of their own: what it meets with is its own as well.
    report_gate: Option<RateLimit>,
    git: Transport,
    /// Repositories that were seen to have another name now.
    moved: Mutex<HashMap<RepoUrl, Moved>>,
}

/// One question to the API.
#[derive(Debug, Clone, Copy)]
struct Ask<'a> {
    wanted: &'a Resource,
    right: Right,
    etag: Option<&'a str>,
}

impl<'a> Ask<'a> {
    fn reading(wanted: &'a Resource) -> Self {
        Self { wanted, right: Right::Read, etag: None }
    }
}

#[derive(Debug, Clone)]
struct Moved {
    id: u64,
    url: RepoUrl,
}

impl Hosted {
    pub(crate) fn new(
        name: String,
        api: impl Api + 'static,
        http: Http,
        polling: Polling,
        git: Transport,
    ) -> Self {
        let limit = RateLimit::new(&name);
        let report_gate = api.reports_apart().then(|| RateLimit::new(&name));
        let api = Box::new(api);
        Self { name, api, http, polling, limit, report_gate, git, moved: Mutex::default() }
    }

    fn gate(&self, right: Right) -> &RateLimit {
        let apart = self.report_gate.as_ref().filter(|_| right.reports());
        apart.unwrap_or(&self.limit)
    }

    /// Where git finds a repository now.
    fn git_place(&self, repo: &RepoUrl) -> RepoUrl {
        git_url(&self.moved(repo).map_or_else(|| repo.clone(), |moved| moved.url))
    }

    /// Asks whether the token works for a repository, with which rights, and whether statuses may be set.
    ///
    /// # Errors
    /// Those of the forge; [`ForgeErrorKind::Unauthorized`] if the token is refused.
    pub async fn probe(&self, repo: &RepoUrl) -> Result<Probe, ForgeError> {
        self.belongs(repo)?;
        let mut probe = self.api.reading(self, repo).await?;
        (probe.can_report, probe.reporting) = self.api.reporting(self, repo).await?;
        Ok(probe)
    }

    /// How a repository may be read, by the API alone, or by git alone where the token does not open it.
    async fn reading(&self, repo: &RepoUrl) -> Result<Probe, ForgeError> {
        if !self.api.reads_branches() {
            let listed = self.ls_refs(repo, &["HEAD".to_owned()], NEW).await?.into_refs();
            let rights = "git read access; this kind of token can't use the API".to_owned();
            return Ok(Probe { can_read: listed.had_head, rights, ..Probe::default() });
        }
        let facts = self.facts(repo).await?;
        let default = facts.default_branch.as_deref().and_then(|name| name.parse().ok());
        let can_read = match &default {
            None => true,
            Some(branch) => match self.head(repo, branch, None).await {
                Ok(_) => true,
                Err(e) if e.kind() == ForgeErrorKind::Unauthorized => false,
                Err(e) => return Err(e),
            },
        };
        let RepoFacts { rights, default_branch, .. } = facts;
        Ok(Probe { can_read, rights, default_branch, ..Probe::default() })
    }

    /// What the forge says about a repository, checked to be the one that was meant.
    pub(crate) async fn facts(&self, repo: &RepoUrl) -> Result<RepoFacts, ForgeError> {
        let answer = self.get_ok(repo, &Resource::Repo).await?;
        let facts = self.api.read_repo(&answer).map_err(|why| self.wrong(repo, &why))?;
        let right = match self.moved(repo) {
            Some(moved) => moved.id == facts.id,
            None => facts.path.eq_ignore_ascii_case(repo.path().as_str()),
        };
        if right { Ok(facts) } else { Err(self.wrong(repo, "describes another repository")) }
    }

    async fn get_ok(&self, repo: &RepoUrl, wanted: &Resource) -> Result<Answer, ForgeError> {
        let answer = self.get(repo, Ask::reading(wanted)).await?;
        if answer.status == StatusCode::OK { Ok(answer) } else { Err(self.refused(repo, &answer)) }
    }

    /// Asks the API, following one rename. An answer may be a 404, 409 or 422, to a report a 400 as well: the caller
    /// knows what it means.
    async fn get(&self, repo: &RepoUrl, ask: Ask<'_>) -> Result<Answer, ForgeError> {
        let place = match self.moved(repo) {
            Some(moved) => RepoRef::Id(moved.id),
            None => RepoRef::Path(repo.path()),
        };
        let by_name = matches!(place, RepoRef::Path(_));
        let answer = self.ask(repo, &place, ask).await?;
        if !answer.status.is_redirection() || answer.status == StatusCode::NOT_MODIFIED {
            return Ok(answer);
        }
        let Some(id) = self.new_place(&answer).filter(|_| by_name) else {
            return Err(self.refused(repo, &answer));
        };
        self.follow(repo, id).await?;
        self.ask(repo, &RepoRef::Id(id), ask).await
    }

    /// True if git's error came from a rename that the API now reported.
    async fn has_moved(&self, repo: &RepoUrl, error: &ForgeError) -> bool {
        let redirected = StatusError::of(error).is_some_and(|status| status.is_redirection());
        let may_be = redirected || error.kind() == ForgeErrorKind::NotFound;
        if !may_be || self.moved(repo).is_some() || !self.api.reads_branches() {
            return false;
        }
        self.facts(repo).await.is_ok() && self.moved(repo).is_some()
    }

    /// The repository's number in a redirect that stays at the API. The address itself is never asked.
    fn new_place(&self, answer: &Answer) -> Option<u64> {
        let location = answer.headers.get(header::LOCATION)?.to_str().ok()?;
        let url = self.api.base().join(location).ok()?;
        let stays = url.origin() == self.api.base().origin();
        let path = url.path().strip_prefix(self.api.base().path()).filter(|_| stays)?;
        self.api.moved_to(path)
    }

    /// Remembers where a renamed repository is now, once the forge has confirmed it under its number.
    async fn follow(&self, repo: &RepoUrl, id: u64) -> Result<(), ForgeError> {
        let answer = self.ask(repo, &RepoRef::Id(id), Ask::reading(&Resource::Repo)).await?;
        if answer.status != StatusCode::OK {
            return Err(self.refused(repo, &answer));
        }
        let facts = self.api.read_repo(&answer).map_err(|why| self.wrong(repo, &why))?;
        let url = facts.url.parse::<RepoUrl>().ok().filter(|url| self.belongs(url).is_ok());
        match url.filter(|_| facts.id == id) {
            Some(url) => {
                tracing::warn!(forge = self.name, %repo, now = %url, "renamed: update the configuration");
                let mut moved = self.moved.lock().unwrap_or_else(PoisonError::into_inner);
                moved.insert(repo.clone(), Moved { id, url });
                Ok(())
            }
            None => Err(self.wrong(repo, "is redirected to something that is not this repository")),
        }
    }

    async fn ask(
        &self,
        repo: &RepoUrl,
        place: &RepoRef,
        ask: Ask<'_>,
    ) -> Result<Answer, ForgeError> {
        self.with_token(repo, ask.right, |token| async move {
            self.exchange(repo, place, ask, token.as_ref()).await
        })
        .await
    }

    /// The token goes to the forge's own origin only; another repository is refused before any request.
    fn belongs(&self, repo: &RepoUrl) -> Result<(), ForgeError> {
        let origin = self.api.web_origin();
        if repo.origin() == origin {
            return Ok(());
        }
        let text = format!("{}: {repo} is not a repository of {origin}", self.what(repo));
        Err(ForgeError::new(ForgeErrorKind::Unsupported, text).with_hint(format!(
            "write {origin}/OWNER/NAME, or name the forge that hosts it; ssh needs a forge of kind git"
        )))
    }

    fn moved(&self, repo: &RepoUrl) -> Option<Moved> {
        self.moved.lock().unwrap_or_else(PoisonError::into_inner).get(repo).cloned()
    }

    fn what(&self, repo: &RepoUrl) -> String {
        format!("{}: {}", self.name, repo.path())
    }

    pub(crate) fn wrong(&self, repo: &RepoUrl, why: &str) -> ForgeError {
        // A content type is quoted, and a server may echo anything.
        let text = self.http.redact(&format!("{}: {why}", self.what(repo)));
        ForgeError::new(ForgeErrorKind::WrongAnswer, text)
    }

    /// The error that an answer's status means.
    fn refused(&self, repo: &RepoUrl, answer: &Answer) -> ForgeError {
        let what = self.what(repo);
        check_status(answer, &what)
            .err()
            .unwrap_or_else(|| self.wrong(repo, "returned an unexpected status"))
    }
}

/// Where git finds a repository: with `.git`, which every forge answers without a redirect.
fn git_url(repo: &RepoUrl) -> RepoUrl {
    let text = repo.as_str().trim_end_matches('/');
    if text.ends_with(".git") {
        return repo.clone();
    }
    format!("{text}.git").parse().unwrap_or_else(|_| repo.clone())
}

#[cfg(test)]
mod tests {
    use super::api::MockApi;
    use sentry_core::forge::Source as _;
    use sentry_core::revision::Revision;
    use sentry_core::subject::Subject;

    use super::*;
    use crate::credential::Credential;
    use crate::git::TransportSettings;
    use crate::http::HttpSettings;
    use sentry_core::secret::{Redactor, Secret};

    /// An API whose key is good and whose tokens are made as `make` says; nobody listens at its address.
    fn hosted(make: impl Fn() -> Result<Secret, ForgeError> + Send + 'static) -> Hosted {
        let mut api = MockApi::new();
        api.expect_base().return_const(url::Url::parse("http://127.0.0.1:1/").unwrap());
        api.expect_web_origin().return_const("https://hub.example.com".to_owned());
        api.expect_credential().return_const(Credential::Token(Secret::new("the-key").into()));
        api.expect_reads_branches().return_const(true);
        api.expect_path().returning(|_, _| Ok("x".to_owned()));
        api.expect_accept().return_const("text/plain");
        // Once: a fake would make as many as it is asked for.
        api.expect_reports_apart().return_const(false);
        api.expect_token().times(1).returning(move |_, _, _| make());
        api.expect_drop_token().times(0);
        let settings = HttpSettings::new(Redactor::new());
        let http = Http::new(&settings).unwrap();
        let git = Transport::new(TransportSettings::new(settings));
        Hosted::new("hub".to_owned(), api, http, Polling::Auto, git)
    }

    #[tokio::test]
    async fn a_refused_key_is_asked_for_one_token_and_not_for_a_second_one() {
        let hosted = hosted(|| {
            Err(ForgeError::new(ForgeErrorKind::Unauthorized, "hub: refused")
                .with_source(StatusError(StatusCode::UNAUTHORIZED)))
        });
        let repo: RepoUrl = "https://hub.example.com/o/r".parse().unwrap();
        let subject = Subject::Branch("main".parse().unwrap());
        let revision = Revision { subject, sha: "a".repeat(40).parse().unwrap() };
        for _ in 0..3 {
            let error = hosted.commit(&repo, &revision).await.unwrap_err();
            assert_eq!(error.kind(), ForgeErrorKind::Unauthorized);
        }
    }
}
