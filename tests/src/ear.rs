//! A listener that writes down every byte: whoever should not be spoken to.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::http::lock;
use sentry_apiserver::host::Host;

/// Listens on 127.0.0.1, answers whatever sounds like a request with one answer, and remembers all. Stops on drop.
#[derive(Debug)]
pub struct Ear {
    host: Host,
    heard: Arc<Mutex<Vec<u8>>>,
}

impl Ear {
    /// One that answers 401 and asks for a password, which makes a careless client send one.
    pub fn start() -> Self {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&heard);
        let host = Host::start("ear", move |mut stream| {
            let heard = Arc::clone(&shared);
            Box::pin(async move {
                let mut buffer = [0; 8192];
                while let Ok(bytes @ 1..) = stream.read(&mut buffer).await {
                    lock(&heard).extend_from_slice(&buffer[..bytes]);
                    let answer = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\n\
                                  Content-Length: 0\r\n\r\n";
                    if stream.write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                }
            })
        });
        Self { host, heard }
    }

    /// Where it listens on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.host.port()
    }

    /// All bytes so far, of all connections.
    pub fn heard(&self) -> Vec<u8> {
        lock(&self.heard).clone()
    }
}
