//! Who keeps a connection when there is no room for another: whoever has shown a token, while they are answered. Everybody
//! else holds nothing, whatever they send or leave out, so that one more client can always come.

use std::sync::{Arc, Mutex, PoisonError};

use http::Extensions;
use sentry_api::{ApiError, ErrorKind};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::MAX_CONNECTIONS;

/// So many clients with a token are answered at a time: the other half of all connections is anybody's.
const MAX_HELD: usize = MAX_CONNECTIONS / 2;

/// Room for all clients with a token.
pub(crate) fn room() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(MAX_HELD))
}

/// A connection, which comes along with each of its requests.
#[derive(Debug)]
pub(crate) struct Place {
    room: Arc<Semaphore>,
    held: Mutex<Option<OwnedSemaphorePermit>>,
}

impl Place {
    pub(crate) fn new(room: &Arc<Semaphore>) -> Self {
        Self { room: Arc::clone(room), held: Mutex::default() }
    }

    pub(crate) fn is_held(&self) -> bool {
        self.permit().is_some()
    }

    /// Until the request is answered.
    fn hold(&self) -> Result<(), ApiError> {
        let mut held = self.permit();
        if held.is_none() {
            let permit = Arc::clone(&self.room).try_acquire_owned();
            *held = Some(permit.map_err(|_| {
                let text = format!("{MAX_HELD} questions are being answered");
                ApiError::new(ErrorKind::TooMuch, text).with_hint("come again later")
            })?);
        }
        Ok(())
    }

    fn permit(&self) -> std::sync::MutexGuard<'_, Option<OwnedSemaphorePermit>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets a client who has shown a token keep the connection until the answer is there; a stream, until its end.
///
/// # Errors
/// [`ErrorKind::TooMuch`] when too many do.
pub(crate) fn hold(request: &Extensions) -> Result<(), ApiError> {
    // A router that another program serves has no places.
    request.get::<Arc<Place>>().map_or(Ok(()), |place| place.hold())
}

/// Gives a place back when it is dropped.
pub(crate) struct Answering(pub(crate) Arc<Place>);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.permit().take();
    }
}
