//! Who may see the page, and the headers that restrict it in browsers.

use std::convert::Infallible;
use std::sync::Arc;

use askama::Template;
use axum::extract::{FromRequestParts, Request};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use http::header::{CACHE_CONTROL, COOKIE, HOST, HeaderValue, ORIGIN};
use http::request::Parts;
use http::{HeaderMap, HeaderName, Method, StatusCode};
use sentry_api::{ApiError, ErrorKind};

use super::session::Visitor;
use super::view::Notice;
use super::words::{Language, Words};
use super::{Failed, Page, PageError, shown};
use crate::concurrency;

/// The cookie that carries a session's id.
pub(super) const COOKIE_NAME: &str = "sentry_session";

/// What every answer says. A referrer is sent to the page itself alone: without any, browsers would say `Origin: null`
/// when they post a form (<https://fetch.spec.whatwg.org/#append-a-request-origin-header>).
const FENCE: &[(&str, &str)] = &[
    (
        "content-security-policy",
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
         img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("x-frame-options", "DENY"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=()"),
];

/// Refuses what another site's page sent, shows errors in the reader's language, and puts the headers on every answer.
pub(super) async fn fence(request: Request, next: Next) -> Response {
    let words = Words(Language::of(request.headers()));
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let mut response = if reads || is_own(request.headers()) {
        next.run(request).await
    } else {
        let text = "this form was not sent by a page of this Sentry";
        let hint = "open the page itself and try again; programs use the API under /api/v1";
        PageError(ApiError::new(ErrorKind::Forbidden, text).with_hint(hint)).into_response()
    };
    if let Some(failed) = response.extensions_mut().remove::<Failed>() {
        response = shown(response.status(), &Notice::of_error(words, failed));
    }
    let headers = response.headers_mut();
    for (name, value) in FENCE {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Whether a page of this server sent a form, as the browser says. Over plain HTTP to another machine browsers send no
/// `Sec-Fetch-Site`; then `Origin` must name the host that is asked.
fn is_own(headers: &HeaderMap) -> bool {
    if let Some(site) = headers.get("sec-fetch-site") {
        return site == "same-origin";
    }
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let origin = text(ORIGIN).and_then(|origin| origin.split_once("://"));
    matches!((origin, text(HOST)), (Some((_, from)), Some(host)) if from == host)
}

/// Whether the browser itself says that it came by https. What a proxy says is not asked: the browser's word is about its
/// own cookie, and harms nobody else.
pub(super) fn came_by_https(headers: &HeaderMap) -> bool {
    headers.get(ORIGIN).is_some_and(|origin| origin.as_bytes().starts_with(b"https://"))
}

/// The session's id that a request carries.
fn session(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|line| line.split(';')).filter_map(|one| one.split_once('='));
    pairs.find(|(name, _)| name.trim() == COOKIE_NAME).map(|(_, id)| id.trim())
}

impl FromRequestParts<Arc<Page>> for Visitor {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, page: &Arc<Page>) -> Result<Self, Response> {
        let refused = |error| PageError(error).into_response();
        let id = session(&parts.headers);
        if let Some(id) = id
            && let Some(visitor) = page.sessions.visitor(id).await.map_err(refused)?
        {
            concurrency::hold(&parts.extensions).map_err(refused)?;
            return Ok(visitor);
        }
        if parts.method != Method::GET && parts.method != Method::HEAD {
            let error = ApiError::new(ErrorKind::Unauthorized, "you are not logged in");
            return Err(refused(error.with_hint("log in and try again")));
        }
        // A strict cookie does not come along when somebody follows a link from another site, such as the forge's commit
        // page. A page of our own that asks again brings it.
        if id.is_none() && parts.headers.get("sec-fetch-site").is_some_and(|s| s == "cross-site") {
            let words = Words(Language::of(&parts.headers));
            return Err(shown(StatusCode::OK, &Bounce { words }));
        }
        let wanted = parts.uri.path_and_query().map_or("/", |wanted| wanted.as_str());
        Err(Redirect::to(&login_at(wanted)).into_response())
    }
}

#[derive(Template)]
#[template(path = "bounce.html")]
struct Bounce {
    words: Words,
}

impl<S: Sync> FromRequestParts<S> for Words {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(Language::of(&parts.headers)))
    }
}

/// The login, which then continues to a page.
fn login_at(wanted: &str) -> String {
    let wanted = onward(wanted);
    match wanted.split_once('?') {
        None if wanted == "/" => "/login".to_owned(),
        None => format!("/login?then={wanted}"),
        Some((path, query)) => {
            let query: String = url::form_urlencoded::byte_serialize(query.as_bytes()).collect();
            format!("/login?then={path}%3F{query}")
        }
    }
}

/// A page of this server to continue to, with what it was asked; the first page for anything else.
pub(super) fn onward(wanted: &str) -> &str {
    let known = ["/watches/", "/deliveries/", "/triggers/"];
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let (path, query) = wanted.split_once('?').unwrap_or((wanted, ""));
    let is_known = known.iter().any(|start| {
        path.strip_prefix(start).is_some_and(|rest| !rest.is_empty() && rest.chars().all(plain))
    });
    let is_query = query.chars().all(|c| plain(c) || "=&%+._~".contains(c));
    match (is_known || path == "/", is_query) {
        (true, true) => wanted,
        (true, false) => path,
        (false, _) => "/",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(headers: &[(&'static str, &'static str)]) -> bool {
        let pairs = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        is_own(&pairs.collect())
    }

    #[test]
    fn only_a_page_of_this_server_sends_forms() {
        assert!(own(&[("sec-fetch-site", "same-origin"), ("origin", "https://s.example")]));
        assert!(own(&[("origin", "http://s.example:8080"), ("host", "s.example:8080")]));
        for foreign in [
            &[][..],
            &[("sec-fetch-site", "cross-site"), ("origin", "http://s"), ("host", "s")],
            &[("sec-fetch-site", "same-site"), ("origin", "http://s"), ("host", "s")],
            &[("sec-fetch-site", "none")],
            &[("origin", "null"), ("host", "s")],
            &[("origin", "http://evil.example"), ("host", "s")],
            &[("origin", "http://s.evil"), ("host", "s")],
            &[("host", "s")],
        ] {
            assert!(!own(foreign), "{foreign:?}");
        }
    }

    #[test]
    fn a_login_leads_to_pages_of_this_server_alone() {
        assert_eq!(onward("/deliveries/01hf7y"), "/deliveries/01hf7y");
        assert_eq!(login_at("/watches/qa"), "/login?then=/watches/qa");
        for foreign in ["//evil", "/\\evil", "https://evil", "/deliveries/", "/x", "//evil?q=a", ""]
        {
            assert_eq!(onward(foreign), "/", "{foreign}");
        }
        assert_eq!(login_at("//evil.example/"), "/login");
        let filtered = "/?state=failed&q=pay+%2Fx";
        assert_eq!(onward(filtered), filtered);
        assert_eq!(login_at(filtered), "/login?then=/%3Fstate%3Dfailed%26q%3Dpay%2B%252Fx");
        assert_eq!(onward("/watches/qa?x=\"><b>"), "/watches/qa", "no query that a page makes");
    }

    #[test]
    fn a_session_is_found_among_other_cookies() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, HeaderValue::from_static("a=b; xsentry_session=no"));
        assert_eq!(session(&headers), None);
        headers.append(COOKIE, HeaderValue::from_static("c=d; sentry_session=abc; e=f"));
        assert_eq!(session(&headers), Some("abc"));
    }
}
