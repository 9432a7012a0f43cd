//! Answers from a state, for who has it: the command line beside it, and the server in the pod.

mod abbreviate;
mod agent;
mod branch;
mod history;
mod next;
mod past;
mod pick;
mod requests;
mod status;
mod why;

pub use pick::pick;

use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;

use async_trait::async_trait;
use sentry_core::clock::{Clock, SystemClock, Timestamp};
use sentry_core::delivery::{Delivery, DeliveryState, Selection};
use sentry_core::engine::Engine;
use sentry_core::ids::DeliveryId;
use sentry_core::names::WatchName;
use sentry_core::store::{self, DeliveryQuery, OverviewQuery, State, Suspension};
use sentry_core::subject::{EventName, Subject};
use sentry_core::watch::SubjectSelector;

use crate::answers::{Answers, Asker};
use crate::error::{ApiError, ErrorKind};
use crate::query::{
    AuditQuery, ExplainQuery, HISTORY_LIMIT, HISTORY_MOST, HistoryQuery, StatusQuery, WhyQuery,
};
use crate::shape::{
    Acknowledgement, AgentStatus, ApproveRequest, Audit, Documents, History, RerunRequest, Show,
    Status, SuspendRequest, SuspensionAcknowledgement, TriggerRequest, Why,
};

/// What an answer needs to know of a configured watch.
#[derive(Debug, Clone)]
pub struct WatchFacts {
    /// Its name.
    pub name: WatchName,
    /// Its subjects of A.
    pub subjects: SubjectSelector,
    /// Whether its forge has commit statuses at all: where it has none, that none are shown is no news.
    pub has_statuses: bool,
}

/// Answers from a state. Any number of these, in any number of processes, may work beside an agent.
#[derive(Debug, Clone)]
pub struct Local {
    store: State,
    watches: Vec<WatchFacts>,
    engine: Option<Engine>,
    clock: Arc<dyn Clock>,
}

impl Local {
    /// Answers from this state about these watches, in their order, and about those that only the state knows.
    #[must_use]
    pub fn new(store: impl Into<State>, watches: Vec<WatchFacts>) -> Self {
        Self { store: store.into(), watches, engine: None, clock: Arc::new(SystemClock) }
    }

    /// With an engine that can be asked what it would do: for [`Answers::explain`].
    #[must_use]
    pub fn with_engine(mut self, engine: Engine) -> Self {
        self.engine = Some(engine);
        self
    }

    /// With another clock than the system's: for tests.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// The configured watches' names, in order.
    fn names(&self) -> Vec<WatchName> {
        self.watches.iter().map(|watch| watch.name.clone()).collect()
    }

    /// The delivery that an id, or the beginning of one, means.
    async fn find(&self, text: &str) -> Result<Delivery, ApiError> {
        let query = DeliveryQuery {
            id_prefix: Some(id_prefix(text)?),
            limit: Some(2),
            ..DeliveryQuery::default()
        };
        let mut found = self.store.archive.deliveries(&query).await?;
        match (found.pop(), found.pop()) {
            (Some(delivery), None) => Ok(delivery),
            (Some(one), Some(other)) => {
                let text = format!(
                    "more than one delivery id starts with {text}: {} and {}",
                    other.id, one.id
                );
                Err(ApiError::new(ErrorKind::Ambiguous, text).with_hint("use a longer prefix"))
            }
            (None, _) => {
                let text = format!("no delivery {text} in this state");
                Err(ApiError::new(ErrorKind::UnknownDelivery, text)
                    .with_hint("`sentry history` lists them"))
            }
        }
    }
}

#[async_trait]
impl Answers for Local {
    async fn status(&self, query: &StatusQuery) -> Result<Status, ApiError> {
        let mut status = status::status(self, query).await?;
        if let (true, Some(name)) = (query.pace, optional("watch", query.watch.as_deref())?) {
            let pace = past::pace(self, &name).await?;
            status.watches.iter_mut().for_each(|watch| watch.pace = Some(pace.clone()));
        }
        Ok(status)
    }

    async fn agent(&self) -> Result<Option<AgentStatus>, ApiError> {
        let overview = self.store.archive.overview(&OverviewQuery::watches()).await?;
        Ok(overview.agent.as_ref().map(|agent| agent::agent(agent, self.clock.now())))
    }

    async fn why(&self, commit: &str, query: &WhyQuery) -> Result<Why, ApiError> {
        let only = optional("watch", query.watch.as_deref())?;
        why::why(self, commit, only.as_ref()).await
    }

    async fn history(&self, query: &HistoryQuery) -> Result<History, ApiError> {
        history::history(self, query).await
    }

    async fn show(&self, delivery: &str) -> Result<Show, ApiError> {
        let mut delivery = self.find(delivery).await?;
        if delivery.state == DeliveryState::Parked {
            // Another head, or somebody's change, may have come before it is looked at again.
            let query = OverviewQuery::subject(&delivery.watch, &delivery.revision.subject);
            let subjects = self.store.archive.overview(&query).await?.subjects;
            let parked = subjects.into_iter().find_map(|subject| subject.cursors.parked);
            delivery.next_attempt =
                parked.filter(|parked| parked.delivery == delivery.id).and_then(|p| p.again);
        }
        let mut show = Show::from(&delivery);
        past::compare(self, &delivery, &mut show).await?;
        Ok(show)
    }

    async fn audit(&self, query: &AuditQuery) -> Result<Audit, ApiError> {
        let limit = limit(query.limit)?;
        let query = store::AuditQuery {
            watch: optional("watch", query.watch.as_deref())?,
            by: named("by", query.by.clone())?,
            since: query.since,
            before: query.before,
            limit: Some(limit + 1),
        };
        Ok(Audit::of(&self.store.archive.acts(&query).await?, limit))
    }

    async fn explain(&self, query: &ExplainQuery) -> Result<Documents, ApiError> {
        let Some(engine) = &self.engine else {
            return Err(ApiError::new(ErrorKind::Setup, "documents can't be explained here"));
        };
        let watch = optional("watch", query.watch.as_deref())?;
        let subject = subject(query.branch.as_deref())?;
        let (watch, subject) = pick(&self.watches, watch, subject)?;
        let event = named("event", query.event.clone())?.map(EventName::new);
        let selection = Selection { event, run: None };
        Ok((&engine.preview(&watch, &subject, None, &selection).await?).into())
    }

    async fn trigger_state(&self, trigger: &str) -> Result<Acknowledgement, ApiError> {
        requests::state(self, trigger).await
    }

    async fn trigger(
        &self,
        request: &TriggerRequest,
        asker: Asker<'_>,
    ) -> Result<Acknowledgement, ApiError> {
        requests::trigger(self, request, asker).await
    }

    async fn retry(&self, delivery: &str, asker: Asker<'_>) -> Result<Acknowledgement, ApiError> {
        requests::retry(self, delivery, asker).await
    }

    async fn cancel(&self, delivery: &str, asker: Asker<'_>) -> Result<Acknowledgement, ApiError> {
        requests::cancel(self, delivery, asker).await
    }

    async fn approve(
        &self,
        watch: &str,
        number: &str,
        request: &ApproveRequest,
        asker: Asker<'_>,
    ) -> Result<Acknowledgement, ApiError> {
        requests::approve(self, watch, number, request, asker).await
    }

    async fn rerun(
        &self,
        delivery: &str,
        request: &RerunRequest,
        asker: Asker<'_>,
    ) -> Result<Acknowledgement, ApiError> {
        requests::rerun(self, delivery, *request, asker).await
    }

    async fn suspend(
        &self,
        watch: &str,
        request: &SuspendRequest,
        by: Option<&str>,
    ) -> Result<SuspensionAcknowledgement, ApiError> {
        requests::suspend(self, watch, request, by).await
    }

    async fn resume(
        &self,
        watch: &str,
        by: Option<&str>,
    ) -> Result<SuspensionAcknowledgement, ApiError> {
        requests::resume(self, watch, by).await
    }
}

/// So many are told at a time.
fn limit(asked: Option<u32>) -> Result<usize, ApiError> {
    let limit = asked.unwrap_or(HISTORY_LIMIT);
    if limit > HISTORY_MOST {
        let text = format!("`limit` is {limit}, and the maximum is {HISTORY_MOST}");
        return Err(ApiError::bad_request(text));
    }
    Ok(limit as usize)
}

/// Whether a suspension still holds.
fn in_force(suspension: &Suspension, now: Timestamp) -> bool {
    suspension.until.is_none_or(|until| now < until)
}

/// A text as what it should be.
fn parsed<T: FromStr<Err: Display>>(what: &str, text: &str) -> Result<T, ApiError> {
    text.parse().map_err(|e| ApiError::bad_request(format!("`{what}` can't be read: {e}")))
}

fn optional<T: FromStr<Err: Display>>(
    what: &str,
    text: Option<&str>,
) -> Result<Option<T>, ApiError> {
    text.map(|text| parsed(what, text)).transpose()
}

/// What git would not take for a branch's or a tag's name is none that anybody has.
fn subject(text: Option<&str>) -> Result<Option<Subject>, ApiError> {
    let unknown =
        |e| ApiError::new(ErrorKind::UnknownBranch, format!("there is no such branch: {e}"));
    text.map(|text| Subject::named(text).map_err(unknown)).transpose()
}

/// A name that says something, where one is given.
fn named(what: &str, text: Option<String>) -> Result<Option<String>, ApiError> {
    match text {
        Some(text) if text.is_empty() => {
            Err(ApiError::bad_request(format!("`{what}` is empty: set it or omit it")))
        }
        text => Ok(text),
    }
}

/// An id is never written shorter.
const ID_LEAST: usize = 4;

/// A whole id in the form it is kept in, or its first 4 or more characters.
fn id_prefix(text: &str) -> Result<String, ApiError> {
    let prefix = text.to_ascii_lowercase();
    let filled = format!("{prefix:0<26}");
    if prefix.len() < ID_LEAST || filled.parse::<DeliveryId>().is_err() {
        return Err(ApiError::bad_request(format!(
            "{text:?} is not a delivery id: expected {ID_LEAST} to 26 characters of 0-9, a-z"
        )));
    }
    Ok(prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_may_be_shortened_but_not_to_nothing() {
        assert_eq!(id_prefix("01HF7Y").unwrap(), "01hf7y");
        for bad in ["", "01h", "../x", "ilou", &"0".repeat(27)] {
            assert!(id_prefix(bad).is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_history_has_an_end_however_much_is_asked_for() {
        let local = Local::new(Arc::new(sentry_store::MemoryStore::new()), Vec::new());
        let ask = |limit| HistoryQuery { limit: Some(limit), ..HistoryQuery::default() };
        local.history(&ask(HISTORY_MOST)).await.unwrap();
        for limit in [HISTORY_MOST + 1, u32::MAX] {
            let error = local.history(&ask(limit)).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BadRequest);
        }
    }
}
