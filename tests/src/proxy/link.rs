//! A link that misbehaves, in front of any server: its bytes are spoilt, or it answers in the server's place.

use std::convert::Infallible;
use std::io;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::BoxFuture;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::http::{Fault, lock, target};
use sentry_apiserver::host::Host;

/// What a link does to the bytes of a connection's answer.
#[derive(Debug, Clone, Default)]
pub enum Link {
    /// Passes them on.
    #[default]
    Fine,
    /// Waits before the connection is made.
    Latency(Duration),
    /// Ends the connection in order after that many bytes.
    CutAfter(usize),
    /// Resets the connection after that many bytes.
    ResetAfter(usize),
    /// Passes on that many bytes, and then nothing, without an end: the other side is gone and nobody noticed.
    HalfOpenAfter(usize),
    /// Swallows the last bytes: that many before the server ends the connection.
    DropLast(usize),
    /// Passes on that many bytes at a time, with a pause after each.
    Drip {
        /// Bytes at a time.
        bytes: usize,
        /// The pause.
        every: Duration,
    },
    /// Takes the connection and says nothing, ever.
    Hang,
    /// Answers bytes that belong to no protocol.
    Garbage,
    /// Answers every HTTP request like this; the server is not asked. Only for plain HTTP.
    Answers(Fault),
}

/// A TCP proxy in front of a port of 127.0.0.1 that misbehaves on demand. Stops on drop.
#[derive(Debug)]
pub struct FaultProxy {
    host: Host,
    state: Arc<FaultState>,
}

#[derive(Debug, Default)]
struct FaultState {
    link: Mutex<(Link, Vec<Link>)>,
    connections: AtomicUsize,
}

impl FaultProxy {
    /// A fine link to that port.
    pub fn to(upstream: u16) -> Self {
        let state = Arc::new(FaultState::default());
        Self { host: Host::start("fault-proxy", connection(upstream, Arc::clone(&state))), state }
    }

    /// The same on the caller's runtime, see [`Host::here`].
    pub async fn here(upstream: u16) -> Self {
        let state = Arc::new(FaultState::default());
        let host = Host::here(connection(upstream, Arc::clone(&state))).await;
        Self { host: host.expect("a free port on 127.0.0.1"), state }
    }

    /// Where the link begins.
    pub fn port(&self) -> u16 {
        self.host.port()
    }

    /// `http://127.0.0.1:port`, without a slash at the end.
    pub fn origin(&self) -> String {
        format!("http://127.0.0.1:{}", self.port())
    }

    /// New connections are like this from now on.
    pub fn set(&self, link: Link) {
        *lock(&self.state.link) = (link, Vec::new());
    }

    /// The same, and the connections that are there are cut: clients keep them for their next requests.
    pub fn turn(&self, link: Link) {
        self.refuse();
        self.set(link);
        self.accept();
    }

    /// The next `times` connections are like this, before what [`FaultProxy::set`] said.
    pub fn next(&self, times: usize, link: Link) {
        lock(&self.state.link).1 = vec![link; times];
    }

    /// How many connections came.
    pub fn connections(&self) -> usize {
        self.state.connections.load(Ordering::Relaxed)
    }

    /// Cuts all connections and refuses new ones until [`FaultProxy::accept`].
    pub fn refuse(&self) {
        self.host.pause();
    }

    /// Ends [`FaultProxy::refuse`].
    pub fn accept(&self) {
        self.host.resume();
    }
}

fn connection(
    upstream: u16,
    state: Arc<FaultState>,
) -> impl Fn(TcpStream) -> BoxFuture<'static, ()> + Send + Sync {
    move |stream| {
        state.connections.fetch_add(1, Ordering::Relaxed);
        let link = {
            let mut link = lock(&state.link);
            link.1.pop().unwrap_or_else(|| link.0.clone())
        };
        Box::pin(async move { drop(relay(stream, upstream, link).await) })
    }
}

async fn relay(mut client: TcpStream, upstream: u16, link: Link) -> io::Result<()> {
    match link {
        Link::Hang => std::future::pending().await,
        Link::Answers(fault) => return answer(client, fault).await,
        Link::Garbage => {
            client.write_all(b"\x16\x03\x01 neither TLS nor HTTP\r\n\x00\x00").await?;
            return client.shutdown().await;
        }
        Link::Latency(wait) => tokio::time::sleep(wait).await,
        Link::ResetAfter(0) => return client.set_zero_linger(),
        Link::CutAfter(0) => return client.shutdown().await,
        _ => {}
    }
    let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, upstream)).await?;
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let asking = async {
        tokio::io::copy(&mut from_client, &mut to_server).await?;
        to_server.shutdown().await?;
        // The answer decides when it is over.
        std::future::pending::<io::Result<()>>().await
    };
    tokio::select! {
        asked = asking => asked,
        answered = spoil(&mut from_server, &mut to_client, &link) => answered,
    }?;
    match link {
        Link::ResetAfter(_) => client.set_zero_linger(),
        _ => client.shutdown().await,
    }
}

async fn answer(client: TcpStream, fault: Fault) -> io::Result<()> {
    let fault = Arc::new(fault);
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let fault = Arc::clone(&fault);
        async move { Ok::<_, Infallible>(fault.reply(&target(&request)).await) }
    });
    // A connection that goes on would answer like this after the link was mended.
    hyper::server::conn::http1::Builder::new()
        .keep_alive(false)
        .serve_connection(TokioIo::new(client), service)
        .await
        .map_err(io::Error::other)
}

async fn spoil(
    server: &mut (impl AsyncRead + Unpin),
    client: &mut (impl AsyncWrite + Unpin),
    link: &Link,
) -> io::Result<()> {
    let mut held = Vec::new();
    let mut sent = 0;
    loop {
        let ended = server.read_buf(&mut held).await? == 0;
        match *link {
            Link::CutAfter(most) | Link::ResetAfter(most) if sent + held.len() >= most => {
                return client.write_all(&held[..most - sent]).await;
            }
            Link::HalfOpenAfter(most) if sent + held.len() >= most || ended => {
                client.write_all(&held[..held.len().min(most - sent)]).await?;
                return std::future::pending().await;
            }
            Link::Drip { bytes, every } => {
                for drop in held.chunks(bytes.max(1)) {
                    client.write_all(drop).await?;
                    tokio::time::sleep(every).await;
                }
                held.clear();
            }
            Link::DropLast(swallowed) => {
                let ready = held.len().saturating_sub(swallowed);
                client.write_all(&held[..ready]).await?;
                held.drain(..ready);
            }
            _ => {
                client.write_all(&held).await?;
                sent += held.len();
                held.clear();
            }
        }
        if ended {
            return Ok(());
        }
    }
}
