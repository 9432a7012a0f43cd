//! Pull requests by the API: all that are open at first and once a day, in between what was updated since.

use http::{StatusCode, header};
use sentry_core::clock::{Clock as _, SystemClock, Timestamp};
use sentry_core::forge::{ForgeError, PullChanges, PullsAnswer, PullsQuery, Validator};
use sentry_core::pull::PullRequest;
use sentry_core::repo::RepoUrl;
use serde::{Deserialize, Serialize};

use crate::hosted::api::{PullsPage, Resource};
use crate::hosted::{Ask, Hosted};
use crate::rate_limit::Right;

/// How many are asked for at a time: the most that a Gitea gives unless it is told otherwise; GitHub and GitLab give 100.
pub(crate) const PAGE: usize = 50;
/// Longer lists end in an error: 10,000 are open.
const MOST_PAGES: usize = 200;
/// Of what was updated, so many pages are read before all that are open are.
const FEW_PAGES: usize = 2;
/// How often the open ones are read if they change meanwhile.
const TRIES: usize = 3;
/// After so long all that are open are read, whatever was said in between.
const WHOLE_EVERY: i64 = 24 * 3600;

/// What a forge says of one, open or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) pull: PullRequest,
    pub(crate) is_open: bool,
    /// When anything of it changed last, as the forge writes it.
    pub(crate) updated: Timestamp,
}

/// Where the next answer goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    /// When the newest one that was told was updated.
    newest: Option<Timestamp>,
    /// When all that were open were read last, in Unix seconds.
    whole: i64,
    /// The validator of the first page of what was updated, if the forge gives one.
    etag: Option<String>,
}

impl Mark {
    fn of(validator: &Validator) -> Option<Self> {
        serde_json::from_str(&validator.0).ok()
    }

    fn text(&self) -> Option<Validator> {
        serde_json::to_string(self).ok().map(Validator)
    }
}

impl Hosted {
    pub(super) async fn pulls_of(&self, query: &PullsQuery) -> Result<PullsAnswer, ForgeError> {
        self.belongs(&query.repo)?;
        let now = SystemClock.now().as_second();
        let mark = query.validator.as_ref().and_then(Mark::of);
        let mark = mark.filter(|mark| now - mark.whole < WHOLE_EVERY);
        if let Some(mark) = mark
            && let Some(answer) = self.updated_pulls(&query.repo, &mark).await?
        {
            return Ok(answer);
        }
        self.open_pulls(&query.repo, now).await
    }

    /// All that are open. What is closed or opened while they are read may push another one over a page's edge: then they
    /// are read again.
    async fn open_pulls(&self, repo: &RepoUrl, now: i64) -> Result<PullsAnswer, ForgeError> {
        for _ in 0..TRIES {
            let before = self.newest_pulls(repo).await?;
            let (open, pages) = self.all_open(repo).await?;
            if pages > 1 && self.newest_pulls(repo).await?.0 != before.0 {
                continue;
            }
            let (told, etag) = before;
            let newest = told.iter().map(|told| told.updated).max();
            return Ok(PullsAnswer::Pulls(PullChanges {
                open,
                closed: Vec::new(),
                is_whole: true,
                validator: Mark { newest, whole: now, etag }.text(),
            }));
        }
        Err(self.wrong(repo, "lists open pull requests that change while they are read"))
    }

    /// The page of what was updated last, whatever is known, and its validator.
    async fn newest_pulls(
        &self,
        repo: &RepoUrl,
    ) -> Result<(Vec<Told>, Option<String>), ForgeError> {
        let page = self.pulls_page(repo, PullsPage::updated(1, None), None).await?;
        page.ok_or_else(|| {
            self.wrong(repo, "says \"not modified\" without being given a validator")
        })
    }

    /// The open ones, and how many pages they fill.
    async fn all_open(&self, repo: &RepoUrl) -> Result<(Vec<PullRequest>, usize), ForgeError> {
        let mut all = Vec::new();
        for page in 1..=MOST_PAGES {
            let told = self.pulls_page(repo, PullsPage::open(page), None).await?;
            let (told, _) = told.unwrap_or_default();
            let is_last = told.len() < PAGE;
            all.extend(told.into_iter().filter(|told| told.is_open).map(|told| told.pull));
            if is_last {
                return Ok((all, page));
            }
        }
        Err(self.wrong(repo, "lists more open pull requests than are read"))
    }

    /// What was updated since the mark, the mark's own moment included; `None` if that is too much.
    async fn updated_pulls(
        &self,
        repo: &RepoUrl,
        mark: &Mark,
    ) -> Result<Option<PullsAnswer>, ForgeError> {
        let (mut changed, mut etag) = (Vec::new(), None);
        for page in 1..=FEW_PAGES {
            let known = mark.etag.as_deref().filter(|_| page == 1);
            let asked = PullsPage::updated(page, mark.newest);
            let Some((told, its_etag)) = self.pulls_page(repo, asked, known).await? else {
                return Ok(Some(PullsAnswer::NotModified));
            };
            if page == 1 {
                etag = its_etag;
            }
            let is_short = told.len() < PAGE;
            let is_past = told.iter().any(|told| Some(told.updated) < mark.newest);
            changed.extend(told.into_iter().filter(|told| Some(told.updated) >= mark.newest));
            if is_short || is_past {
                return Ok(Some(since(mark, changed, etag)));
            }
        }
        Ok(None)
    }

    /// One page, and its validator; `None` if it is as before.
    async fn pulls_page(
        &self,
        repo: &RepoUrl,
        page: PullsPage,
        etag: Option<&str>,
    ) -> Result<Option<(Vec<Told>, Option<String>)>, ForgeError> {
        let wanted = Resource::Pulls(page);
        let ask = Ask { right: Right::Pulls, etag, ..Ask::reading(&wanted) };
        let answer = self.get(repo, ask).await?;
        match answer.status {
            StatusCode::NOT_MODIFIED if etag.is_some() => Ok(None),
            StatusCode::OK => {
                let told = self.api.read_pulls(&answer).map_err(|why| self.wrong(repo, &why))?;
                let etag = answer.headers.get(header::ETAG).and_then(|v| v.to_str().ok());
                Ok(Some((told, etag.map(ToOwned::to_owned))))
            }
            _ => Err(self.refused(repo, &answer)),
        }
    }
}

/// The newest page holds what was told before as well: what it says again is no news, but who asks compares anyway.
fn since(mark: &Mark, changed: Vec<Told>, etag: Option<String>) -> PullsAnswer {
    let newest = changed.iter().map(|told| told.updated).max().max(mark.newest);
    let (open, closed): (Vec<Told>, Vec<Told>) = changed.into_iter().partition(|told| told.is_open);
    PullsAnswer::Pulls(PullChanges {
        open: open.into_iter().map(|told| told.pull).collect(),
        closed: closed.into_iter().map(|told| told.pull.number).collect(),
        is_whole: false,
        validator: Mark { newest, etag, ..mark.clone() }.text(),
    })
}
