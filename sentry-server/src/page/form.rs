//! What a form sends.

use axum::extract::{FromRequest, Request};
use http::header::CONTENT_TYPE;
use sentry_api::ApiError;
use serde::de::DeserializeOwned;

use super::PageError;
use crate::PATIENCE;

/// The largest form, in bytes.
const MAX_FORM: usize = 16 * 1024;

/// A posted form; a field that is not known is an error.
pub(super) struct Form<T>(pub(super) T);

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for Form<T> {
    type Rejection = PageError;

    async fn from_request(request: Request, _: &S) -> Result<Self, PageError> {
        let refused = |text: String| PageError(ApiError::bad_request(text));
        let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        if kind.and_then(|kind| kind.split(';').next()) != Some("application/x-www-form-urlencoded")
        {
            return Err(refused("this is not a form".to_owned()));
        }
        let body = axum::body::to_bytes(request.into_body(), MAX_FORM);
        let bytes = match tokio::time::timeout(PATIENCE, body).await {
            Ok(Ok(bytes)) => bytes,
            Ok(Err(_)) => {
                let text = format!("the form is truncated, or has more than {MAX_FORM} bytes");
                return Err(refused(text));
            }
            Err(_) => return Err(refused("the form did not arrive in time".to_owned())),
        };
        match serde_urlencoded::from_bytes(&bytes) {
            Ok(sent) => Ok(Self(sent)),
            Err(error) => Err(refused(format!("the form: {error}"))),
        }
    }
}
