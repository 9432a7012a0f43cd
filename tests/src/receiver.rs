//! A receiver of notifications that writes down what it is told.

use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

use http_body_util::BodyExt as _;
use hyper::StatusCode;
use serde_json::Value;

use crate::http::{HttpServer, lock, reply};

/// Listens on 127.0.0.1 and takes JSON at any path. Stops on drop.
#[derive(Debug)]
pub struct Receiver {
    server: HttpServer,
    told: Arc<Mutex<Vec<Value>>>,
    status: Arc<AtomicU16>,
}

impl Default for Receiver {
    fn default() -> Self {
        Self::start()
    }
}

impl Receiver {
    /// One that answers 200.
    pub fn start() -> Self {
        let told = Arc::new(Mutex::new(Vec::new()));
        let status = Arc::new(AtomicU16::new(200));
        let (desk, answer) = (Arc::clone(&told), Arc::clone(&status));
        let server = HttpServer::start("receiver", None, move |request| {
            let (told, status) = (Arc::clone(&desk), answer.load(Ordering::SeqCst));
            Box::pin(async move {
                let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
                if status.is_success()
                    && let Ok(body) = request.into_body().collect().await
                {
                    let body = serde_json::from_slice(&body.to_bytes()).unwrap_or(Value::Null);
                    lock(&told).push(body);
                }
                reply(status, &[], "")
            })
        });
        Self { server, told, status }
    }

    /// Its address with this path.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.server.origin())
    }

    /// The server: its log, its faults, its pauses.
    pub fn server(&self) -> &HttpServer {
        &self.server
    }

    /// From now on it answers so, and takes only what it answers with a success.
    pub fn answer(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    /// What it took, in order.
    pub fn told(&self) -> Vec<Value> {
        lock(&self.told).clone()
    }
}
