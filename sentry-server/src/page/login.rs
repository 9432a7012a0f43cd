//! Logging in and out.

use axum::extract::{Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::header::SET_COOKIE;
use http::{HeaderMap, StatusCode};
use sentry_core::secret::without_margins;
use serde::Deserialize;

use super::act::Confirmed;
use super::form::Form;
use super::guard::{COOKIE_NAME, came_by_https, onward};
use super::session::Visitor;
use super::view::{Frame, Login};
use super::{Page, PageResult, Shared, shown};
use crate::guesses::Door;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    then: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    token: String,
    #[serde(default)]
    then: String,
}

pub(super) async fn ask(
    State(page): Shared,
    visitor: Result<Visitor, Response>,
    Query(asked): Query<Asked>,
) -> Response {
    match visitor {
        Ok(_) => Redirect::to(onward(&asked.then)).into_response(),
        Err(_) => form(&page, StatusCode::OK, None, &asked.then),
    }
}

fn form(page: &Page, status: StatusCode, problem: Option<&'static str>, then: &str) -> Response {
    let frame = Frame::for_stranger("Log in", &page.setup.version);
    shown(status, &Login { frame, problem, then: onward(then).to_owned() })
}

pub(super) async fn enter(
    State(page): Shared,
    headers: HeaderMap,
    Form(entry): Form<Entry>,
) -> PageResult {
    let Some(id) = page.sessions.begin(without_margins(&entry.token)).await? else {
        let (status, text) = if page.setup.guesses.guessed(Door::Page) {
            (StatusCode::FORBIDDEN, "This is not a token of this Sentry.")
        } else {
            let text = "Too many wrong tokens. A valid one is always accepted.";
            (StatusCode::TOO_MANY_REQUESTS, text)
        };
        return Ok(form(&page, status, Some(text), &entry.then));
    };
    let secure = if came_by_https(&headers) { "; Secure" } else { "" };
    let cookie = format!("{COOKIE_NAME}={id}; HttpOnly; SameSite=Strict; Path=/{secure}");
    Ok(([(SET_COOKIE, cookie)], Redirect::to(onward(&entry.then))).into_response())
}

pub(super) async fn leave(State(page): Shared, confirmed: Confirmed<Nothing>) -> Response {
    page.sessions.end(&confirmed.visitor);
    let cookie = format!("{COOKIE_NAME}=; HttpOnly; SameSite=Strict; Path=/; Max-Age=0");
    ([(SET_COOKIE, cookie)], Redirect::to("/login")).into_response()
}

/// A form with nothing but its token.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Nothing {}
