//! The interface between asking and answering.

use std::fmt;

use async_trait::async_trait;

use crate::error::ApiError;
use crate::query::{AuditQuery, ExplainQuery, HistoryQuery, StatusQuery, WhyQuery};
use crate::shape::{
    Acknowledgement, AgentStatus, ApproveRequest, Audit, Documents, History, RerunRequest, Show,
    Status, SuspendRequest, SuspensionAcknowledgement, TriggerRequest, Why,
};

/// Who asks for a delivery.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Asker<'a> {
    /// The name that is kept with the request: a token's, or the user's who gave the command. A server takes none from
    /// whoever asks it, as it knows the token.
    pub by: Option<&'a str>,
    /// The idempotency key: a second request with the same key is the first one.
    pub key: Option<&'a str>,
}

/// Answers questions and takes requests: from a state ([`crate::Local`]), or by asking a server.
///
/// Over HTTP everything is below `/api/v1`. Queries are the fields of [`crate::query`], bodies and answers the JSON of
/// [`crate::shape`]; a request that succeeds is a 200, an error the status of its kind
/// ([`http_status`](crate::words::Word::http_status)) with the body [`crate::ErrorBody`].
///
/// | method | route | body | answer |
/// |---|---|---|---|
/// | [`status`](Self::status) | `GET /status?watch=&branch=&state=&q=&limit=&after=&pace=` | | [`Status`] |
/// | [`why`](Self::why) | `GET /why/{commit}?watch=` | | [`Why`] |
/// | [`history`](Self::history) | `GET /deliveries?watch=&branch=&state=&failed=&since=&until=&author=&q=&before=&limit=` | | [`History`] |
/// | [`show`](Self::show) | `GET /deliveries/{id}` | | [`Show`] |
/// | [`audit`](Self::audit) | `GET /audit?watch=&by=&since=&before=&limit=` | | [`Audit`] |
/// | [`explain`](Self::explain) | `GET /explain?watch=&branch=&event=` | | [`Documents`] |
/// | [`trigger_state`](Self::trigger_state) | `GET /triggers/{id}` | | [`Acknowledgement`] |
/// | [`trigger`](Self::trigger) | `POST /trigger` | [`TriggerRequest`] | [`Acknowledgement`] |
/// | [`retry`](Self::retry) | `POST /deliveries/{id}/retry` | `{}` or none | [`Acknowledgement`] |
/// | [`cancel`](Self::cancel) | `POST /deliveries/{id}/cancel` | `{}` or none | [`Acknowledgement`] |
/// | [`rerun`](Self::rerun) | `POST /deliveries/{id}/rerun` | [`RerunRequest`] or none | [`Acknowledgement`] |
/// | [`approve`](Self::approve) | `POST /watches/{name}/pulls/{number}/approve` | [`ApproveRequest`] | [`Acknowledgement`] |
/// | [`suspend`](Self::suspend) | `POST /watches/{name}/suspend` | [`SuspendRequest`] or none | [`SuspensionAcknowledgement`] |
/// | [`resume`](Self::resume) | `POST /watches/{name}/resume` | `{}` or none | [`SuspensionAcknowledgement`] |
///
/// `{id}` of a delivery is the id or its first 4 or more characters, `{commit}` the commit or its first 7 or more
/// digits. The five POSTs that create a trigger accept an `Idempotency-Key` header: a key that was used before returns
/// the trigger it created then, in its current state, so each of them may be repeated after a lost answer; a retry that has
/// begun by then is a conflict.
///
/// A trigger is acknowledged once it is in the state; a crash of the machine does not lose it.
/// [`trigger_state`](Self::trigger_state) shows what happens to it, [`show`](Self::show) the delivery it starts.
///
/// # Errors
/// Of every method: [`crate::ErrorKind`] says what is wrong, [`may_pass`](crate::words::Word::may_pass) whether asking again helps.
#[async_trait]
pub trait Answers: fmt::Debug + Send + Sync {
    /// Per branch: what was seen, what was delivered and what comes next; and whether an agent is running.
    async fn status(&self, query: &StatusQuery) -> Result<Status, ApiError>;

    /// The agent that last worked on the state, if one did: `status` without the rest, for a check that is asked often.
    async fn agent(&self) -> Result<Option<AgentStatus>, ApiError> {
        Ok(self.status(&StatusQuery::default()).await?.agent)
    }

    /// Why a commit of A was delivered, or why not. `commit` is the id or its first 7 or more digits.
    async fn why(&self, commit: &str, query: &WhyQuery) -> Result<Why, ApiError>;

    /// Deliveries, newest first.
    async fn history(&self, query: &HistoryQuery) -> Result<History, ApiError>;

    /// One delivery by its id, or the first 4 or more characters of it.
    async fn show(&self, delivery: &str) -> Result<Show, ApiError>;

    /// Who asked for what, newest first.
    async fn audit(&self, query: &AuditQuery) -> Result<Audit, ApiError>;

    /// What would happen to each document of B. Asks forge and cluster; nothing is written anywhere.
    async fn explain(&self, query: &ExplainQuery) -> Result<Documents, ApiError>;

    /// The state of a trigger, by its full id.
    async fn trigger_state(&self, trigger: &str) -> Result<Acknowledgement, ApiError>;

    /// Requests a delivery of a branch's head, or of a given commit of it.
    async fn trigger(
        &self,
        request: &TriggerRequest,
        asker: Asker<'_>,
    ) -> Result<Acknowledgement, ApiError>;

    /// Requests another attempt of a failed or parked delivery, with its own keys: nothing that ran runs twice.
    async fn retry(&self, delivery: &str, asker: Asker<'_>) -> Result<Acknowledgement, ApiError>;

    /// Requests the end of a delivery: nothing more of it is started, and its runs are cancelled.
    async fn cancel(&self, delivery: &str, asker: Asker<'_>) -> Result<Acknowledgement, ApiError>;

    /// Approves the head of a fork's pull request: a delivery is made of exactly that.
    async fn approve(
        &self,
        watch: &str,
        number: &str,
        request: &ApproveRequest,
        asker: Asker<'_>,
    ) -> Result<Acknowledgement, ApiError>;

    /// Requests new runs of an earlier delivery's commits.
    async fn rerun(
        &self,
        delivery: &str,
        request: &RerunRequest,
        asker: Asker<'_>,
    ) -> Result<Acknowledgement, ApiError>;

    /// Suspends a watch: it starts nothing new; work in progress continues. A second one replaces the first.
    async fn suspend(
        &self,
        watch: &str,
        request: &SuspendRequest,
        by: Option<&str>,
    ) -> Result<SuspensionAcknowledgement, ApiError>;

    /// Ends a suspension; does nothing if there is none.
    async fn resume(
        &self,
        watch: &str,
        by: Option<&str>,
    ) -> Result<SuspensionAcknowledgement, ApiError>;
}
