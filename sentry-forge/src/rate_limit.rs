//! The limit before a forge: no request while the forge asked us to wait, and hardly any with a refused token.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use sentry_core::forge::{Budget, ForgeError, ForgeErrorKind};
use sentry_core::repo::RepoUrl;
use sentry_core::retry::{AFTER_CAP, Retry};
use sentry_core::secret::Secret;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use crate::status::{self, StatusError};

/// The first wait after a limit that named no time; it doubles up to [`AFTER_CAP`].
const LIMITED: Duration = Duration::from_secs(60);
/// The pause after a refused token: GitLab bans an address for an hour after 30 failures in 3 minutes.
const REFUSED: Duration = Duration::from_secs(6 * 60);
/// Refusals within [`HOUR`] after which nothing is asked until the oldest of them is an hour old. As many requests with a
/// token may be under way at a time: all of them may turn out to be refused.
const REFUSALS: usize = 10;
const HOUR: Duration = Duration::from_secs(3600);

/// What a request needs the token to allow. Each is refused separately: a token that may not set statuses still reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Right {
    /// Reading a repository.
    Read,
    /// Listing pull requests.
    Pulls,
    /// Setting commit statuses.
    Statuses,
    /// Making check runs.
    Checks,
}

impl Right {
    /// True for what needs the credential that shows verdicts, where that is another one.
    pub(crate) fn reports(self) -> bool {
        matches!(self, Self::Statuses | Self::Checks)
    }
}

/// What a forge has said about our token and rate limit. Kept in memory: a restart asks again.
#[derive(Debug)]
pub(crate) struct RateLimit {
    forge: String,
    state: Mutex<State>,
    /// Held by the first request with a token that the forge has not answered yet, so that a bad token is refused
    /// once and not once per request in flight.
    first: tokio::sync::Mutex<()>,
    /// For the requests with a token that are under way.
    places: Semaphore,
}

#[derive(Debug, Default)]
struct State {
    limited_until: Option<Instant>,
    limits_in_a_row: u32,
    answered: Option<Secret>,
    refused: Option<Refusal>,
    refused_repos: HashMap<(RepoUrl, Right), Refusal>,
    refusals: VecDeque<Refused>,
    budget: Option<Budget>,
}

/// One answer of the last hour that refused us.
#[derive(Debug)]
struct Refused {
    at: Instant,
    /// By a 401. A 403 is about the token only where nothing else is allowed.
    outright: bool,
}

#[derive(Debug)]
struct Refusal {
    token: Option<Secret>,
    until: Instant,
    /// The error that it was.
    told: String,
    hint: Option<String>,
}

impl Refusal {
    fn new(token: Option<&Secret>, until: Instant, error: &ForgeError) -> Self {
        let (told, hint) = (error.to_string(), error.hint().map(str::to_owned));
        Self { token: token.cloned(), until, told, hint }
    }

    fn left(&self, token: Option<&Secret>) -> Option<Duration> {
        same(self.token.as_ref(), token).then(|| left(self.until)).flatten()
    }
}

/// The right to send one request; its outcome goes to [`Pass::conclude`].
#[derive(Debug)]
pub(crate) struct Pass<'a> {
    limit: &'a RateLimit,
    token: Option<&'a Secret>,
    repo: &'a RepoUrl,
    right: Right,
    _first: Option<tokio::sync::MutexGuard<'a, ()>>,
    _place: Option<SemaphorePermit<'a>>,
}

impl RateLimit {
    pub(crate) fn new(forge: &str) -> Self {
        Self {
            forge: forge.to_owned(),
            state: Mutex::default(),
            first: tokio::sync::Mutex::default(),
            places: Semaphore::new(REFUSALS),
        }
    }

    /// Lets a request through once there is a place for it, or says why not and for how long.
    pub(crate) async fn enter<'a>(
        &'a self,
        token: Option<&'a Secret>,
        repo: &'a RepoUrl,
        right: Right,
    ) -> Result<Pass<'a>, ForgeError> {
        self.check(token, repo, right)?;
        // It is never closed.
        let place = if token.is_some() { self.places.acquire().await.ok() } else { None };
        let pass = |first| Pass { limit: self, token, repo, right, _first: first, _place: place };
        // What was waited for may have been refused.
        if self.check(token, repo, right)? {
            return Ok(pass(None));
        }
        let first = self.first.lock().await;
        let answered = self.check(token, repo, right)?;
        Ok(pass((!answered).then_some(first)))
    }

    /// What the forge last said about its rate limit.
    pub(crate) fn budget(&self) -> Option<Budget> {
        self.state().budget
    }

    /// Reads the rate limit from an answer.
    pub(crate) fn learn(&self, headers: &HeaderMap) {
        if let Some(budget) = status::budget(headers) {
            self.state().budget = Some(budget);
        }
    }

    /// True if the forge has answered this token before; an error if it must not be asked now.
    fn check(
        &self,
        token: Option<&Secret>,
        repo: &RepoUrl,
        right: Right,
    ) -> Result<bool, ForgeError> {
        let state = self.state();
        if let Some(wait) = state.limited_until.and_then(left) {
            let text = format!("{}: rate limited; no requests until the limit ends", self.forge);
            return Err(ForgeError::new(ForgeErrorKind::RateLimited, text).retry_after(wait));
        }
        let whole = state.refused.as_ref();
        let here = state.refused_repos.get(&(repo.clone(), right));
        let mut waiting =
            whole.into_iter().chain(here).filter_map(|one| Some((one, one.left(token)?)));
        if let Some((refusal, wait)) = waiting.next() {
            let text = format!("{}; {repo} is not retried yet", refusal.told);
            let hint = refusal.hint.as_deref().map(|hint| format!("{hint}; ")).unwrap_or_default();
            return Err(ForgeError::new(ForgeErrorKind::Unauthorized, text)
                .retry_after(wait)
                .with_hint(format!(
                    "{hint}rotate the token or extend its rights; a new token is tried immediately"
                )));
        }
        Ok(token.is_none() || same(state.answered.as_ref(), token))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass<'_> {
    /// Learns from the outcome of the request and adds to an error the wait that follows from it.
    pub(crate) fn conclude<T>(self, outcome: Result<T, ForgeError>) -> Result<T, ForgeError> {
        let mut state = self.limit.state();
        match outcome {
            Err(error) if error.kind() == ForgeErrorKind::RateLimited => {
                let wait = state.limited(error.retry());
                Err(error.retry_after(wait))
            }
            Err(error) if error.kind() == ForgeErrorKind::Unauthorized => {
                // A 401 refuses the token, a 403 what it asked for; so one forbidden repository stops no other, but ten
                // refusals without anything that was allowed in between do.
                let whole = StatusError::of(&error) == Some(StatusCode::UNAUTHORIZED);
                let wait = match self.token {
                    Some(token) if whole => state.refuse(token, &error),
                    token => state.refuse_repo((self.repo, self.right), token, &error),
                };
                Err(error.retry_after(wait))
            }
            // Nothing was sent.
            Err(error) if error.kind() == ForgeErrorKind::Local => Err(error),
            outcome => {
                state.answered = self.token.cloned();
                if outcome.is_ok() {
                    state.limits_in_a_row = 0;
                    state.refusals.retain(|refused| refused.outright);
                    state.refused_repos.remove(&(self.repo.clone(), self.right));
                }
                outcome
            }
        }
    }
}

impl State {
    fn limited(&mut self, advice: Retry) -> Duration {
        // Requests that were under way together count as one.
        if self.limited_until.and_then(left).is_none() {
            self.limits_in_a_row += 1;
        }
        let earlier = self.limits_in_a_row.saturating_sub(1);
        let doubled = |first: Duration| first.saturating_mul(2u32.saturating_pow(earlier.min(16)));
        let wait = match advice {
            // One that asks for a moment, again and again, gets up to a minute.
            Retry::After(wait) => wait.max(doubled(Duration::from_secs(1)).min(LIMITED)),
            _ => doubled(LIMITED),
        };
        let wait = wait.min(AFTER_CAP);
        let until = (Instant::now() + wait).max(self.limited_until.unwrap_or_else(Instant::now));
        self.limited_until = Some(until);
        until.duration_since(Instant::now())
    }

    fn refuse(&mut self, token: &Secret, error: &ForgeError) -> Duration {
        let pause = Instant::now() + REFUSED;
        let until = self.count_refusal(true).map_or(pause, |until| until.max(pause));
        self.answered = None;
        self.refuse_all(Refusal::new(Some(token), until, error))
    }

    fn refuse_repo(
        &mut self,
        (repo, right): (&RepoUrl, Right),
        token: Option<&Secret>,
        error: &ForgeError,
    ) -> Duration {
        let until = Instant::now() + REFUSED;
        self.refused_repos.insert((repo.clone(), right), Refusal::new(token, until, error));
        let all = self.count_refusal(false);
        if self.refusals.len() > 1 {
            // The token itself may be bad: one request at a time finds out.
            self.answered = None;
        }
        match all {
            Some(all) => self.refuse_all(Refusal::new(token, all.max(until), error)),
            None => REFUSED,
        }
    }

    /// Until when all is refused, if this is one refusal too many.
    fn count_refusal(&mut self, outright: bool) -> Option<Instant> {
        let at = Instant::now();
        self.refusals.retain(|refused| at.duration_since(refused.at) < HOUR);
        self.refusals.push_back(Refused { at, outright });
        let over = self.refusals.len().checked_sub(REFUSALS)?;
        Some(self.refusals[over].at + HOUR)
    }

    fn refuse_all(&mut self, refusal: Refusal) -> Duration {
        let until = refusal.until;
        self.refused = Some(refusal);
        until.duration_since(Instant::now())
    }
}

fn left(until: Instant) -> Option<Duration> {
    until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
}

fn same(one: Option<&Secret>, other: Option<&Secret>) -> bool {
    one.map(Secret::expose) == other.map(Secret::expose)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repo(name: &str) -> RepoUrl {
        format!("https://hub.example.com/o/{name}").parse().unwrap()
    }

    fn error(kind: ForgeErrorKind, status: u16) -> ForgeError {
        let status = StatusCode::from_u16(status).unwrap();
        ForgeError::new(kind, "hub").with_source(StatusError(status))
    }

    fn refused(status: u16) -> Result<(), ForgeError> {
        Err(error(ForgeErrorKind::Unauthorized, status))
    }

    fn limited() -> Result<(), ForgeError> {
        Err(error(ForgeErrorKind::RateLimited, 429))
    }

    async fn ask(
        limit: &RateLimit,
        token: &str,
        name: &str,
        outcome: Result<(), ForgeError>,
    ) -> Option<Retry> {
        let (token, repo) = (Secret::new(token), repo(name));
        match limit.enter(Some(&token), &repo, Right::Read).await {
            Ok(pass) => pass.conclude(outcome).err().map(|e| e.retry()),
            Err(e) => Some(e.retry()),
        }
    }

    async fn is_open(limit: &RateLimit, token: &str, name: &str) -> bool {
        limit.enter(Some(&Secret::new(token)), &repo(name), Right::Read).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_without_a_time_closes_the_gate_for_60_seconds_doubling_up_to_an_hour() {
        let limit = RateLimit::new("hub");
        for seconds in [60, 120, 240, 480, 960, 1920, 3600, 3600] {
            let wait = Duration::from_secs(seconds);
            assert_eq!(ask(&limit, "t", "a", limited()).await, Some(Retry::After(wait)));
            tokio::time::advance(wait - Duration::from_millis(1)).await;
            assert!(!is_open(&limit, "t", "b").await, "early after {seconds} s");
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        assert_eq!(ask(&limit, "t", "a", Ok(())).await, None);
        let again = ask(&limit, "t", "a", limited()).await;
        assert_eq!(again, Some(Retry::After(LIMITED)), "an answer ends the doubling");
    }

    #[tokio::test(start_paused = true)]
    async fn a_forge_that_asks_for_a_moment_again_and_again_is_left_alone_for_up_to_a_minute() {
        let limit = RateLimit::new("hub");
        let moment = || {
            let error = error(ForgeErrorKind::RateLimited, 429);
            Err(error.retry_after(Duration::from_secs(3)))
        };
        for seconds in [3, 3, 4, 8, 16, 32, 60, 60] {
            let wait = Duration::from_secs(seconds);
            assert_eq!(ask(&limit, "t", "a", moment()).await, Some(Retry::After(wait)));
            tokio::time::advance(wait).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_shorter_limit_that_comes_late_does_not_shorten_a_longer_one() {
        let limit = RateLimit::new("hub");
        let (token, repo) = (Secret::new("t"), repo("a"));
        limit.enter(Some(&token), &repo, Right::Read).await.unwrap().conclude(Ok(())).unwrap();
        let one = limit.enter(Some(&token), &repo, Right::Read).await.unwrap();
        let two = limit.enter(Some(&token), &repo, Right::Read).await.unwrap();
        let long = error(ForgeErrorKind::RateLimited, 429).retry_after(Duration::from_secs(600));
        one.conclude::<()>(Err(long)).unwrap_err();
        let short = error(ForgeErrorKind::RateLimited, 429).retry_after(Duration::from_secs(5));
        let short = two.conclude::<()>(Err(short)).unwrap_err();
        assert_eq!(short.retry(), Retry::After(Duration::from_secs(600)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_refused_for_an_hour_is_tried_at_most_ten_times_and_a_new_one_at_once() {
        let limit = RateLimit::new("hub");
        let mut failures = 0;
        for _ in 0..3600 {
            let repo = repo("a");
            let token = Secret::new("old");
            if let Ok(pass) = limit.enter(Some(&token), &repo, Right::Read).await {
                pass.conclude(refused(401)).unwrap_err();
                failures += 1;
            }
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert!((2..=10).contains(&failures), "{failures}");
        assert_eq!(ask(&limit, "new", "a", Ok(())).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_of_refusals_counts_against_the_hour() {
        let limit = RateLimit::new("hub");
        let (token, repo) = (Secret::new("t"), repo("a"));
        limit.enter(Some(&token), &repo, Right::Read).await.unwrap().conclude(Ok(())).unwrap();
        let mut passes = Vec::new();
        for _ in 0..10 {
            passes.push(limit.enter(Some(&token), &repo, Right::Read).await.unwrap());
        }
        for pass in passes {
            pass.conclude(refused(401)).unwrap_err();
        }
        tokio::time::advance(HOUR - Duration::from_secs(1)).await;
        assert!(!is_open(&limit, "t", "a").await);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(is_open(&limit, "t", "a").await);
    }

    #[tokio::test(start_paused = true)]
    async fn of_many_requests_with_a_new_bad_token_one_is_sent() {
        let limit = RateLimit::new("hub");
        let (token, repo) = (Secret::new("bad"), repo("a"));
        let one = || async {
            match limit.enter(Some(&token), &repo, Right::Read).await {
                Ok(pass) => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    pass.conclude(refused(401)).unwrap_err();
                    1
                }
                Err(_) => 0,
            }
        };
        let sent: i32 = futures::future::join_all((0..20).map(|_| one())).await.into_iter().sum();
        assert_eq!(sent, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_forbidden_repository_stops_no_other() {
        let limit = RateLimit::new("hub");
        assert!(ask(&limit, "t", "secret", refused(403)).await.is_some());
        assert!(!is_open(&limit, "t", "secret").await);
        assert!(is_open(&limit, "t", "other").await);
        assert!(is_open(&limit, "rotated", "secret").await);
        tokio::time::advance(REFUSED).await;
        assert!(is_open(&limit, "t", "secret").await);
    }

    #[tokio::test(start_paused = true)]
    async fn ten_forbidden_repositories_in_a_row_close_the_gate_and_an_allowed_one_starts_the_count_anew()
     {
        let limit = RateLimit::new("hub");
        let names: Vec<String> = (0..25).map(|n| n.to_string()).collect();
        for (n, name) in names.iter().enumerate() {
            assert!(ask(&limit, "t", name, refused(403)).await.is_some());
            if n % 9 == 8 {
                assert_eq!(ask(&limit, "t", "allowed", Ok(())).await, None);
            }
        }
        for name in &names[..3] {
            tokio::time::advance(REFUSED).await;
            assert!(is_open(&limit, "t", name).await);
            assert!(ask(&limit, "t", name, refused(403)).await.is_some());
        }
        assert!(!is_open(&limit, "t", "allowed").await, "ten refusals in a row");
        assert!(is_open(&limit, "rotated", "allowed").await);
        tokio::time::advance(HOUR).await;
        assert!(is_open(&limit, "t", "allowed").await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_that_is_refused_while_many_requests_are_under_way_is_refused_ten_times_at_most()
     {
        for status in [401, 403] {
            let limit = RateLimit::new("hub");
            let token = Secret::new("t");
            assert_eq!(ask(&limit, "t", "a", Ok(())).await, None);
            let one = |n: i32| {
                let (limit, token) = (&limit, &token);
                async move {
                    let repo = repo(&n.to_string());
                    let Ok(pass) = limit.enter(Some(token), &repo, Right::Read).await else {
                        return 0;
                    };
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    pass.conclude(refused(status)).unwrap_err();
                    1
                }
            };
            let sent = futures::future::join_all((0..50).map(one)).await;
            assert_eq!(sent.into_iter().sum::<i32>(), 10, "{status}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_right_that_is_refused_closes_no_other() {
        let limit = RateLimit::new("hub");
        let (token, repo) = (Secret::new("t"), repo("a"));
        let open = |right| {
            let (limit, token, repo) = (&limit, &token, &repo);
            async move { limit.enter(Some(token), repo, right).await.is_ok() }
        };
        limit.enter(Some(&token), &repo, Right::Read).await.unwrap().conclude(Ok(())).unwrap();
        for status in [403, 404] {
            let pass = limit.enter(Some(&token), &repo, Right::Statuses).await.unwrap();
            let lacking =
                ForgeError::new(ForgeErrorKind::Unauthorized, "the token may not set statuses")
                    .with_source(StatusError(StatusCode::from_u16(status).unwrap()));
            pass.conclude::<()>(Err(lacking)).unwrap_err();
            let closed = limit.enter(Some(&token), &repo, Right::Statuses).await.unwrap_err();
            assert!(closed.to_string().contains("may not set statuses"), "{closed}");
            assert!(open(Right::Read).await && open(Right::Checks).await);
            tokio::time::advance(REFUSED).await;
        }
        let pass = limit.enter(Some(&token), &repo, Right::Statuses).await.unwrap();
        pass.conclude(refused(401)).unwrap_err();
        assert!(!open(Right::Read).await, "a 401 refuses the token itself");
    }
}
