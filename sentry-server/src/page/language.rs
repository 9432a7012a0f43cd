//! Choosing a language: a link, so that it works without a script.

use axum::extract::Path;
use axum::response::{IntoResponse, Redirect, Response};
use http::header::{HOST, REFERER, SET_COOKIE};
use http::{HeaderMap, StatusCode};

use super::guard::onward;
use super::words::{COOKIE_NAME, Language};

/// Keeps the choice for a year, and leads back to where the link was.
pub(super) async fn choose(Path(tag): Path<String>, headers: HeaderMap) -> Response {
    let Some(language) = Language::of_tag(&tag) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let cookie = format!(
        "{COOKIE_NAME}={}; HttpOnly; SameSite=Lax; Path=/; Max-Age=31536000",
        language.tag()
    );
    ([(SET_COOKIE, cookie)], Redirect::to(onward(&back(&headers)))).into_response()
}

/// The page of this server that the link was on; `/` where the browser does not say.
fn back(headers: &HeaderMap) -> String {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let from = text(REFERER).and_then(|from| from.split_once("://")).map_or("", |(_, from)| from);
    let path = text(HOST).and_then(|host| from.strip_prefix(host));
    path.filter(|path| path.starts_with('/')).unwrap_or("/").to_owned()
}
