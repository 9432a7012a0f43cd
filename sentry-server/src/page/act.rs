//! What can be done: each by a form that carries its session's token.

use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts, Path, Request, State};
use axum::response::{IntoResponse, Redirect, Response};
use sentry_api::shape::{
    Acknowledgement, ApproveRequest, RerunRequest, SuspendRequest, TriggerRequest,
};
use sentry_api::{ApiError, Asker, ErrorKind};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::form::Form;
use super::session::Visitor;
use super::{Page, PageError, PageResult, Shared};
use crate::api::{Holder, Right};

/// A form that this session's page has made, and who sent it.
pub(super) struct Confirmed<T> {
    pub(super) visitor: Visitor,
    pub(super) form: T,
}

#[derive(Deserialize)]
struct Signed<T> {
    #[serde(default)]
    form: String,
    #[serde(flatten)]
    rest: T,
}

impl<T: DeserializeOwned> FromRequest<Arc<Page>> for Confirmed<T> {
    type Rejection = Response;

    async fn from_request(request: Request, page: &Arc<Page>) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let visitor = Visitor::from_request_parts(&mut parts, page).await?;
        let request = Request::from_parts(parts, body);
        let Form(signed) = Form::<Signed<T>>::from_request(request, page)
            .await
            .map_err(IntoResponse::into_response)?;
        if !visitor.sent(&signed.form) {
            let text = "this form belongs to another session, or has expired";
            let error = ApiError::new(ErrorKind::Forbidden, text);
            let hint = "reload the page and try again";
            return Err(PageError(error.with_hint(hint)).into_response());
        }
        Ok(Self { visitor, form: signed.rest })
    }
}

impl<T> Confirmed<T> {
    /// The form and its sender's name, if the sender may start something.
    fn act(self) -> Result<(T, String), PageError> {
        let Holder { name, right } = self.visitor.holder;
        if right >= Right::Trigger {
            return Ok((self.form, name));
        }
        let error = ApiError::new(ErrorKind::Forbidden, "this session is read-only");
        Err(PageError(error.with_hint("log in with a token that may trigger")))
    }
}

/// Texts that are left empty are left out.
fn filled(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// An idempotency key, of what a form may send for one.
fn key(text: &str) -> Option<String> {
    filled(text).filter(|key| key.len() <= 64 && key.chars().all(|c| c.is_ascii_alphanumeric()))
}

fn asker<'a>(by: &'a str, key: Option<&'a str>) -> Asker<'a> {
    Asker { by: Some(by), key }
}

fn wait_for(asked: &Acknowledgement) -> Response {
    Redirect::to(&format!("/triggers/{}", asked.trigger)).into_response()
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
pub(super) struct TriggerForm {
    watch: String,
    branch: String,
    revision: String,
    key: String,
    /// What a button in a list sends for all three: `KEY/WATCH/BRANCH`.
    deliver: String,
}

impl TriggerForm {
    /// With what the button says.
    fn pressed(mut self) -> Self {
        let mut parts = self.deliver.splitn(3, '/').map(str::to_owned);
        if let (Some(key), Some(watch), Some(branch)) = (parts.next(), parts.next(), parts.next()) {
            (self.key, self.watch, self.branch) = (key, watch, branch);
        }
        self
    }
}

pub(super) async fn trigger(State(page): Shared, confirmed: Confirmed<TriggerForm>) -> PageResult {
    let (form, by) = confirmed.act()?;
    let form = form.pressed();
    let request = TriggerRequest {
        watch: filled(&form.watch),
        branch: filled(&form.branch),
        revision: filled(&form.revision),
        ..TriggerRequest::default()
    };
    let key = key(&form.key);
    let asked = page.setup.answers.trigger(&request, asker(&by, key.as_deref())).await?;
    Ok(wait_for(&asked))
}

/// What was looked at.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct ApproveForm {
    number: String,
    revision: String,
    base: String,
    key: String,
}

pub(super) async fn approve(
    State(page): Shared,
    Path(watch): Path<String>,
    confirmed: Confirmed<ApproveForm>,
) -> PageResult {
    confirmed.visitor.holder.may_approve()?;
    let (form, by) = confirmed.act()?;
    let (revision, base) = (form.revision.trim().to_owned(), filled(&form.base));
    let (request, key) = (ApproveRequest { revision, base }, key(&form.key));
    let asker = asker(&by, key.as_deref());
    Ok(wait_for(&page.setup.answers.approve(&watch, form.number.trim(), &request, asker).await?))
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct AgainForm {
    failed: String,
    key: String,
}

pub(super) async fn retry(
    State(page): Shared,
    Path(id): Path<String>,
    confirmed: Confirmed<AgainForm>,
) -> PageResult {
    let (form, by) = confirmed.act()?;
    let key = key(&form.key);
    Ok(wait_for(&page.setup.answers.retry(&id, asker(&by, key.as_deref())).await?))
}

pub(super) async fn cancel(
    State(page): Shared,
    Path(id): Path<String>,
    confirmed: Confirmed<AgainForm>,
) -> PageResult {
    let (form, by) = confirmed.act()?;
    let key = key(&form.key);
    Ok(wait_for(&page.setup.answers.cancel(&id, asker(&by, key.as_deref())).await?))
}

pub(super) async fn rerun(
    State(page): Shared,
    Path(id): Path<String>,
    confirmed: Confirmed<AgainForm>,
) -> PageResult {
    let (form, by) = confirmed.act()?;
    let request = RerunRequest { failed: form.failed == "true" };
    let key = key(&form.key);
    Ok(wait_for(&page.setup.answers.rerun(&id, &request, asker(&by, key.as_deref())).await?))
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct SuspendForm {
    reason: String,
}

pub(super) async fn suspend(
    State(page): Shared,
    Path(watch): Path<String>,
    confirmed: Confirmed<SuspendForm>,
) -> PageResult {
    let (form, by) = confirmed.act()?;
    let request = SuspendRequest { reason: filled(&form.reason), for_seconds: None };
    let done = page.setup.answers.suspend(&watch, &request, Some(&by)).await?;
    Ok(Redirect::to(&format!("/watches/{}", done.watch)).into_response())
}

pub(super) async fn resume(
    State(page): Shared,
    Path(watch): Path<String>,
    confirmed: Confirmed<super::login::Nothing>,
) -> PageResult {
    let (_, by) = confirmed.act()?;
    let done = page.setup.answers.resume(&watch, Some(&by)).await?;
    Ok(Redirect::to(&format!("/watches/{}", done.watch)).into_response())
}
