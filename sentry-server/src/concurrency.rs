//! Which connections are kept when there is no room for another: those that have shown a token, while they are
//! answered; and for a moment those that have just connected, or have sent a whole request. Everybody else holds
//! nothing, whatever they send or leave out, so that one more client can always come.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use http::Extensions;
use hyper::body::{Body, Frame, SizeHint};
use sentry_api::{ApiError, ErrorKind};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::MAX_CONNECTIONS;

/// So many clients with a token are answered at a time: the other half of all connections is anybody's.
const MAX_HELD: usize = MAX_CONNECTIONS / 2;

/// How long a new connection has to send its request, however many wait behind it: a thousand that say nothing are let
/// in and cut off again within half a second.
pub(crate) const WELCOME: Duration = Duration::from_millis(50);

/// How long a connection that sent a whole request is kept without a token: it is answered at once if nothing is wrong.
const ANSWERED: Duration = Duration::from_millis(500);

/// Room for all clients with a token.
pub(crate) fn room() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(MAX_HELD))
}

/// A connection, which comes along with each of its requests.
#[derive(Debug)]
pub(crate) struct Slot {
    room: Arc<Semaphore>,
    held: Mutex<Option<OwnedSemaphorePermit>>,
    turn: Mutex<Turn>,
}

/// Whose turn it is, and since when.
#[derive(Debug)]
enum Turn {
    /// The client's: it has come, or has its answer.
    Theirs(Instant),
    /// Ours: the whole request is here.
    Ours(Instant),
}

impl Slot {
    pub(crate) fn new(room: &Arc<Semaphore>) -> Self {
        let turn = Mutex::new(Turn::Theirs(Instant::now()));
        Self { room: Arc::clone(room), held: Mutex::default(), turn }
    }

    /// Whether it may be given to somebody else.
    pub(crate) fn is_free(&self) -> bool {
        let had_its_time = match *self.turn.lock().unwrap_or_else(PoisonError::into_inner) {
            Turn::Theirs(since) => since.elapsed() >= WELCOME,
            Turn::Ours(since) => since.elapsed() >= ANSWERED,
        };
        had_its_time && self.permit().is_none()
    }

    fn turn(&self, to: Turn) {
        *self.turn.lock().unwrap_or_else(PoisonError::into_inner) = to;
    }

    /// Until the request is answered.
    fn hold(&self) -> Result<(), ApiError> {
        let mut held = self.permit();
        if held.is_none() {
            let permit = Arc::clone(&self.room).try_acquire_owned();
            *held = Some(permit.map_err(|_| {
                let text = format!("{MAX_HELD} requests are in progress");
                ApiError::new(ErrorKind::TooMuch, text).with_hint("try again later")
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
    request.get::<Arc<Slot>>().map_or(Ok(()), |place| place.hold())
}

/// Gives a place back when it is dropped.
pub(crate) struct Answering(pub(crate) Arc<Slot>);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.turn(Turn::Theirs(Instant::now()));
        self.0.permit().take();
    }
}

/// The body of a request, which notes when it has come to its end.
pub(crate) struct Asking<B> {
    body: B,
    place: Arc<Slot>,
}

impl<B: Body> Asking<B> {
    pub(crate) fn new(body: B, place: &Arc<Slot>) -> Self {
        let asking = Self { body, place: Arc::clone(place) };
        asking.note(asking.body.is_end_stream());
        asking
    }

    fn note(&self, is_over: bool) {
        if is_over {
            self.place.turn(Turn::Ours(Instant::now()));
        }
    }
}

impl<B: Body + Unpin> Body for Asking<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        self.note(matches!(frame, Poll::Ready(None)) || self.body.is_end_stream());
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures::stream;
    use http_body_util::{BodyExt as _, Empty, Full, StreamBody};
    use hyper::body::Bytes;

    use super::*;

    /// The place is kept for so long from now on, and no longer.
    async fn is_kept(place: &Slot, span: Duration) {
        let moment = Duration::from_millis(1);
        tokio::time::advance(span - moment).await;
        assert!(!place.is_free(), "after {span:?}");
        tokio::time::advance(moment).await;
        assert!(place.is_free(), "after {span:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_and_who_has_asked_a_whole_question_keep_a_place_for_a_moment() {
        let place = Arc::new(Slot::new(&room()));
        is_kept(&place, WELCOME).await;
        drop(Asking::new(Empty::<Bytes>::new(), &place));
        is_kept(&place, ANSWERED).await;

        let mut whole = Asking::new(Full::new(Bytes::from("ab")), &place);
        assert!(place.is_free(), "the question has an end that is not here yet");
        assert_eq!((whole.size_hint().exact(), whole.is_end_stream()), (Some(2), false));
        assert_eq!(whole.frame().await.unwrap().unwrap().into_data().unwrap(), "ab");
        assert!(whole.is_end_stream());
        is_kept(&place, ANSWERED).await;

        let pieces = ["a", "b"].map(|text| Ok::<_, Infallible>(Frame::data(Bytes::from(text))));
        let mut pieces = Asking::new(StreamBody::new(stream::iter(pieces)), &place);
        for _ in 0..2 {
            pieces.frame().await.unwrap().unwrap();
            assert!(place.is_free(), "there may be more");
        }
        assert!(pieces.frame().await.is_none());
        is_kept(&place, ANSWERED).await;

        drop(Answering(Arc::clone(&place)));
        is_kept(&place, WELCOME).await;
    }

    #[tokio::test(start_paused = true)]
    async fn half_of_all_places_are_held_by_tokens_until_they_are_answered() {
        let room = room();
        let request = || {
            let (place, mut request) = (Arc::new(Slot::new(&room)), Extensions::new());
            request.insert(Arc::clone(&place));
            (place, request)
        };
        let holders: Vec<_> = (0..MAX_CONNECTIONS / 2).map(|_| request()).collect();
        for (_, request) in &holders {
            hold(request).unwrap();
            hold(request).unwrap();
        }
        let (place, late) = request();
        assert_eq!(hold(&late).unwrap_err().kind(), ErrorKind::TooMuch);
        hold(&Extensions::new()).unwrap();
        tokio::time::advance(ANSWERED * 1000).await;
        assert!(holders.iter().all(|(place, _)| !place.is_free()) && place.is_free());

        drop(Answering(Arc::clone(&holders[0].0)));
        is_kept(&holders[0].0, WELCOME).await;
        hold(&late).unwrap();
        assert!(!place.is_free());
    }
}
