//! HTTP/1.1 servers with a request log (the oracle) and faults.

mod fault;
mod log;

use std::fmt;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

pub use self::fault::{Fault, Faults};
pub(crate) use self::log::{Entry, lock};
pub use self::log::{Logged, RequestLog};
use sentry_apiserver::host::Host;

/// The body of an answer.
pub type Body = UnsyncBoxBody<Bytes, io::Error>;
/// An answer.
pub type Reply = Response<Body>;

/// An HTTP server on 127.0.0.1. Stops on drop.
#[derive(Debug)]
pub struct HttpServer {
    host: Host,
    scheme: &'static str,
    log: RequestLog,
    faults: Faults,
}

impl HttpServer {
    /// Serves `handler` on a free port, over TLS if a configuration is given ([`crate::tls::Tls::server`]).
    pub fn start<H>(name: &str, tls: Option<Arc<ServerConfig>>, handler: H) -> Self
    where
        H: Fn(Request<Incoming>) -> BoxFuture<'static, Reply> + Send + Sync + 'static,
    {
        let scheme = if tls.is_some() { "https" } else { "http" };
        let (log, faults) = (RequestLog::default(), Faults::default());
        let host = Host::start(name, connection(handler, tls, log.clone(), faults.clone()));
        Self { host, scheme, log, faults }
    }

    /// The same without TLS on the caller's runtime, see [`Host::here`].
    pub async fn here<H>(handler: H) -> Self
    where
        H: Fn(Request<Incoming>) -> BoxFuture<'static, Reply> + Send + Sync + 'static,
    {
        let (log, faults) = (RequestLog::default(), Faults::default());
        let host = Host::here(connection(handler, None, log.clone(), faults.clone())).await;
        let host = host.expect("a free port on 127.0.0.1");
        Self { host, scheme: "http", log, faults }
    }

    /// `scheme://127.0.0.1:port`, without a slash at the end.
    pub fn origin(&self) -> String {
        format!("{}://127.0.0.1:{}", self.scheme, self.host.port())
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.host.port()
    }

    /// What was asked so far.
    pub fn log(&self) -> &RequestLog {
        &self.log
    }

    /// What goes wrong on purpose.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Cuts all connections and refuses new ones, on the same port, until [`HttpServer::resume`].
    pub fn pause(&self) {
        self.host.pause();
    }

    /// Ends a pause.
    pub fn resume(&self) {
        self.host.resume();
    }
}

fn connection<H>(
    handler: H,
    tls: Option<Arc<ServerConfig>>,
    log: RequestLog,
    faults: Faults,
) -> impl Fn(TcpStream) -> BoxFuture<'static, ()> + Send + Sync
where
    H: Fn(Request<Incoming>) -> BoxFuture<'static, Reply> + Send + Sync + 'static,
{
    let service = Arc::new(Service { handler: Box::new(handler), log, faults });
    let acceptor = tls.map(TlsAcceptor::from);
    move |stream| {
        let (service, acceptor) = (Arc::clone(&service), acceptor.clone());
        Box::pin(async move {
            match acceptor {
                None => converse(stream, service).await,
                Some(acceptor) => {
                    // A client that does not trust the authority goes away: its error, not the server's.
                    if let Ok(stream) = acceptor.accept(stream).await {
                        converse(stream, service).await;
                    }
                }
            }
        })
    }
}

struct Service {
    handler: Box<dyn Fn(Request<Incoming>) -> BoxFuture<'static, Reply> + Send + Sync>,
    log: RequestLog,
    faults: Faults,
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("log", &self.log).finish_non_exhaustive()
    }
}

impl Service {
    async fn answer(&self, request: Request<Incoming>) -> Reply {
        let entry = self.log.begin(&request);
        let target = target(&request);
        let reply = match self.faults.take(request.method().as_str(), &target) {
            None => (self.handler)(request).await,
            Some(Fault::Truncated) => fault::truncate((self.handler)(request).await).await,
            Some(fault) => fault.reply(&target).await,
        };
        entry.finish(reply)
    }
}

async fn converse(stream: impl AsyncRead + AsyncWrite + Unpin + 'static, service: Arc<Service>) {
    let answer = service_fn(move |request| {
        let service = Arc::clone(&service);
        async move { Ok::<_, std::convert::Infallible>(service.answer(request).await) }
    });
    // Errors here are clients that went away and bodies that a fault cut short.
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), answer)
        .await;
}

/// Path and query of a request, as sent.
pub fn target<B>(request: &Request<B>) -> String {
    request.uri().path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string)
}

/// An answer with a body held in memory.
///
/// # Panics
/// When a header is not one: a mistake in the test.
pub fn reply(status: StatusCode, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Reply {
    let mut builder = Response::builder().status(status);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    let body = Full::new(body.into()).map_err(|never| match never {}).boxed_unsync();
    builder.body(body).expect("headers of a test are valid")
}

/// A percent-encoded piece of a path, decoded. A wrong escape stays as it is.
pub fn decode(piece: &str) -> String {
    let mut decoded = Vec::with_capacity(piece.len());
    let mut rest = piece.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = match (first, tail) {
            (b'%', [high, low, ..]) => hex(*high).zip(hex(*low)),
            _ => None,
        };
        if let Some((high, low)) = escaped {
            decoded.push(high * 16 + low);
            rest = &tail[2..];
        } else {
            decoded.push(*first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn escapes_are_decoded_and_broken_ones_are_kept() {
        assert_eq!(decode("heads%2Ffeat%23a"), "heads/feat#a");
        assert_eq!(decode("100%"), "100%");
        assert_eq!(decode("%zz+"), "%zz+");
    }
}
