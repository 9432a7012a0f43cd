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
use super::words::Words;
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
    words: Words,
    visitor: Result<Visitor, Response>,
    Query(asked): Query<Asked>,
) -> Response {
    match visitor {
        Ok(_) => Redirect::to(onward(&asked.then)).into_response(),
        Err(_) => form(&page, words, StatusCode::OK, None, &asked.then),
    }
}

fn form(
    page: &Page,
    words: Words,
    status: StatusCode,
    problem: Option<String>,
    then: &str,
) -> Response {
    let frame = Frame::for_stranger(words.say("log-in"), &page.setup.version, words);
    shown(status, &Login { frame, words, problem, then: onward(then).to_owned() })
}

pub(super) async fn enter(
    State(page): Shared,
    words: Words,
    headers: HeaderMap,
    Form(entry): Form<Entry>,
) -> PageResult {
    let Some(id) = page.sessions.begin(without_margins(&entry.token)).await? else {
        let (status, text) = if page.setup.guesses.guessed(Door::Page) {
            (StatusCode::FORBIDDEN, words.say("login-wrong"))
        } else {
            (StatusCode::TOO_MANY_REQUESTS, words.say("login-too-many"))
        };
        return Ok(form(&page, words, status, Some(text), &entry.then));
    };
    let secure = if came_by_https(&headers) { "; Secure" } else { "" };
    let cookie = format!("{COOKIE_NAME}={id}; HttpOnly; SameSite=Strict; Path=/{secure}");
    Ok(([(SET_COOKIE, cookie)], Redirect::to(onward(&entry.then))).into_response())
}

pub(super) async fn leave(State(page): Shared, confirmed: Confirmed<Nothing>) -> PageResult {
    page.sessions.end(&confirmed.visitor).await?;
    let cookie = format!("{COOKIE_NAME}=; HttpOnly; SameSite=Strict; Path=/; Max-Age=0");
    Ok(([(SET_COOKIE, cookie)], Redirect::to("/login")).into_response())
}

/// A form with nothing but its token.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Nothing {}
