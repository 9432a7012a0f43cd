//! Connections, and faults that lie below HTTP.

use std::sync::Arc;

use futures::future::BoxFuture;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use super::api::{self, Answer, Call};
use super::state::SeenRequest;
use super::{Shared, watch as watches};

/// What is done with each connection.
pub(super) fn connections(
    shared: Arc<Shared>,
    tls: Option<Arc<ServerConfig>>,
) -> impl Fn(TcpStream) -> BoxFuture<'static, ()> + Send + Sync {
    let tls = tls.map(TlsAcceptor::from);
    move |socket| Box::pin(connection(socket, tls.clone(), Arc::clone(&shared)))
}

async fn connection(socket: TcpStream, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    match tls {
        None => converse(socket, shared).await,
        Some(tls) => {
            // A client that does not trust the authority goes away: its error, not the server's.
            if let Ok(stream) = tls.accept(socket).await {
                converse(stream, shared).await;
            }
        }
    }
}

async fn converse(stream: impl AsyncRead + AsyncWrite + Unpin + 'static, shared: Arc<Shared>) {
    let service = service_fn(move |request| handle(request, Arc::clone(&shared)));
    // A client that goes away, or a response that a fault loses, ends the connection: that is what is wanted.
    hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await
        .ok();
}

/// The response must be lost: hyper closes the connection when a service fails.
#[derive(Debug, thiserror::Error)]
#[error("the response is lost")]
pub(super) struct Lost;

type Body = BoxBody<Bytes, Lost>;

async fn handle(request: Request<Incoming>, shared: Arc<Shared>) -> Result<Response<Body>, Lost> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Lost)?.to_bytes();
    let call = Call::new(&head, &body);
    if shared.faults.hangs(&call) {
        shared.lock().log.push(SeenRequest::of(&call, 0));
        return std::future::pending().await;
    }
    let mut answer = {
        // Who sees what a request did finds the request in the log.
        let mut state = shared.lock();
        let answer = match shared.faults.canned_answer(&call) {
            Some(answer) => answer,
            None => api::answer(&mut state, &shared.faults, &call),
        };
        state.log.push(SeenRequest::of(&call, answer.status));
        answer
    };
    if answer.lost {
        return Err(Lost);
    }
    let body = match answer.watch.take() {
        Some(watched) => StreamBody::new(watches::stream(shared, watched)).boxed(),
        None => whole(&mut answer),
    };
    Ok(respond(&answer, body))
}

fn whole(answer: &mut Answer) -> Body {
    let text = || match &answer.body {
        Value::String(text) => text.clone(),
        json => json.to_string(),
    };
    let bytes = answer.bytes.take().unwrap_or_else(|| text().into_bytes());
    Full::new(Bytes::from(bytes)).map_err(|never| match never {}).boxed()
}

fn respond(answer: &Answer, body: Body) -> Response<Body> {
    let mut response =
        Response::builder().status(answer.status).header("content-type", answer.content_type);
    if let Some(seconds) = answer.retry_after {
        response = response.header("retry-after", seconds);
    }
    response.body(body).expect("a valid response")
}
