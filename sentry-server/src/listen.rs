//! Connections: bounded in number, in the size of their heads, and in how long they may keep us waiting.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::Response;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

use crate::concurrency::{self, Answering, Asking, Slot, WELCOME};
use crate::timeout::{Lasting, WithTimeout};
use crate::{MAX_CONNECTIONS, PATIENCE};

/// The largest head of a request, in bytes; a larger one is answered with 431.
const MAX_HEAD: usize = 16 * 1024;
/// After an error of `accept`, such as too many open files.
const BREATH: Duration = Duration::from_millis(100);

struct Client {
    place: Arc<Slot>,
    task: AbortHandle,
}

pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    stopped: impl Future<Output = ()>,
) {
    let mut stopped = std::pin::pin!(stopped);
    let mut tasks = JoinSet::new();
    let mut clients: Vec<Client> = Vec::new();
    let (graceful, room) = (GracefulShutdown::new(), concurrency::room());
    loop {
        let accepted = tokio::select! {
            () = &mut stopped => break,
            Some(_) = tasks.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::debug!(%error, "can't accept a connection");
                tokio::time::sleep(BREATH).await;
                continue;
            }
        };
        tokio::select! {
            () = &mut stopped => break,
            () = make_room(&mut clients) => {}
        }
        let place = Arc::new(Slot::new(&room));
        let conversation = converse(stream, router.clone(), Arc::clone(&place), &graceful);
        clients.push(Client { place, task: tasks.spawn(conversation) });
        // A connection gets a turn before the next one is accepted.
        tokio::task::yield_now().await;
    }
    drop(listener);
    tokio::time::timeout(PATIENCE, graceful.shutdown()).await.ok();
}

/// The oldest client whose place is free goes, whatever it is doing. There is one soon: those who keep theirs do so for a
/// moment, or have shown a token, and of these there are fewer than clients.
async fn make_room(clients: &mut Vec<Client>) {
    loop {
        clients.retain(|client| !client.task.is_finished());
        if clients.len() < MAX_CONNECTIONS {
            return;
        }
        if let Some(oldest) = clients.iter().position(|client| client.place.is_free()) {
            clients.remove(oldest).task.abort();
            return;
        }
        tokio::time::sleep(WELCOME / 20).await;
    }
}

/// One client's requests, one after the other.
fn converse(
    stream: TcpStream,
    router: Router,
    place: Arc<Slot>,
    graceful: &GracefulShutdown,
) -> impl Future<Output = ()> + use<> {
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(Arc::clone(&place));
        let answering = Answering(Arc::clone(&place));
        let request = request.map(|body| Asking::new(body, &place));
        let answer = hyper::service::Service::call(&router, request);
        async move {
            let answer: Result<Response<Body>, Infallible> = answer.await;
            answer.map(|answer| match answer.extensions().get::<Lasting>() {
                // Until its last byte: the closure is dropped with the body.
                Some(Lasting) => answer.map(|body| {
                    Body::new(body.map_frame(move |frame| {
                        let _ = &answering;
                        frame
                    }))
                }),
                None => answer,
            })
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(WithTimeout::new(stream)), service);
    let connection = graceful.watch(connection);
    async move {
        // Clients that go away, are too slow or send no HTTP: their error, not ours.
        if let Err(error) = connection.await {
            tracing::trace!(%error, "a connection ended");
        }
    }
}
