//! Connections: bounded in number, in the size of their heads, and in how long they may keep us waiting.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
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

use crate::patient::{Lasting, Patient};
use crate::{MAX_CONNECTIONS, PATIENCE};

/// The largest head of a request, in bytes; a larger one is answered with 431.
const MAX_HEAD: usize = 16 * 1024;
/// After an error of `accept`, such as too many open files.
const BREATH: Duration = Duration::from_millis(100);

/// A client, and whether its request is being answered.
struct Client {
    busy: Arc<AtomicBool>,
    task: AbortHandle,
}

/// The client waits for nothing more, once this is dropped.
struct Idle(Arc<AtomicBool>);

impl Drop for Idle {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    stopped: impl Future<Output = ()>,
) {
    let mut stopped = std::pin::pin!(stopped);
    let mut tasks = JoinSet::new();
    let mut clients: Vec<Client> = Vec::new();
    let graceful = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            () = &mut stopped => break,
            Some(_) = tasks.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::debug!(%error, "no connection can be accepted");
                tokio::time::sleep(BREATH).await;
                continue;
            }
        };
        clients.retain(|client| !client.task.is_finished());
        if clients.len() >= MAX_CONNECTIONS && !make_room(&mut clients) {
            continue;
        }
        let busy = Arc::new(AtomicBool::new(false));
        let conversation = converse(stream, router.clone(), Arc::clone(&busy), &graceful);
        clients.push(Client { busy, task: tasks.spawn(conversation) });
    }
    drop(listener);
    tokio::time::timeout(PATIENCE, graceful.shutdown()).await.ok();
}

/// The client that keeps us waiting longest goes. False if none does: then there is no room.
fn make_room(clients: &mut Vec<Client>) -> bool {
    let idle = clients.iter().position(|client| !client.busy.load(Ordering::Relaxed));
    idle.map(|place| clients.remove(place).task.abort()).is_some()
}

/// One client's requests, one after the other.
fn converse(
    stream: TcpStream,
    router: Router,
    busy: Arc<AtomicBool>,
    graceful: &GracefulShutdown,
) -> impl Future<Output = ()> + use<> {
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        busy.store(true, Ordering::Relaxed);
        let busy = Arc::clone(&busy);
        let answer = hyper::service::Service::call(&router, request);
        async move {
            let answer: Result<Response<Body>, Infallible> = answer.await;
            let idle = Idle(busy);
            answer.map(|answer| match answer.extensions().get::<Lasting>() {
                // Until its last byte: the closure is dropped with the body.
                Some(Lasting) => answer.map(|body| {
                    Body::new(body.map_frame(move |frame| {
                        let _ = &idle;
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
        .serve_connection(TokioIo::new(Patient::new(stream)), service);
    let connection = graceful.watch(connection);
    async move {
        // Clients that go away, are too slow or send no HTTP: their error, not ours.
        if let Err(error) = connection.await {
            tracing::trace!(%error, "a connection ended");
        }
    }
}
