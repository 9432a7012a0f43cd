//! How what is followed is read.

use std::time::Duration;

use async_trait::async_trait;
use bytes::BytesMut;
use http_body_util::{BodyExt as _, Limited};
use kube::client::Body;
use sentry_core::names::ClusterRef;
use sentry_core::secret::Redactor;
use tokio::time::{Instant, timeout, timeout_at};

use super::call::{Ask, Caller, within};
use super::status::{Refusal, Reply};
use super::{ASK_TIMEOUT, Native};
use crate::follow::{Lines, Reader, Trouble, lost};

/// The most that one line may hold, in bytes: far more than an object has.
const LONGEST: usize = 32 << 20;
/// The most that is read of an answer that refuses a watch, in bytes.
const REFUSAL: usize = 1 << 20;
/// What a server has beyond the end of its watch.
const SLACK: Duration = Duration::from_secs(20);

#[async_trait]
impl Reader for Native {
    type Lines = Watch;

    async fn get(
        &self,
        cluster: &ClusterRef,
        path: &str,
        limit: Duration,
    ) -> Result<String, Trouble> {
        let caller = self.caller(cluster, limit);
        let reply = caller.send(&Ask::get(path)).await;
        let reply = reply.map_err(|error| Trouble::Error(within(&doing(cluster, path), &error)))?;
        reply.text().map_err(|refusal| trouble(&caller, path, &refusal))
    }

    async fn watch(&self, cluster: &ClusterRef, path: &str) -> Result<Watch, Trouble> {
        let caller = self.caller(cluster, ASK_TIMEOUT);
        let failed = |error| Trouble::Error(within(&doing(cluster, path), &error));
        let connection = caller.connect().await.map_err(failed)?;
        let opened = async {
            let (code, body) = caller.open(connection, &Ask::get(path)).await.map_err(failed)?;
            if code == 200 {
                return Ok(body);
            }
            let body = Limited::new(body, REFUSAL).collect().await;
            let body = body.map(|body| body.to_bytes()).unwrap_or_default();
            let refused = Reply { code, body }.text();
            Err(refused.map_or_else(|it| trouble(&caller, path, &it), |_| Trouble::Old))
        };
        let late = || Trouble::Error(lost(cluster, "it stopped responding"));
        let body = timeout(ASK_TIMEOUT, opened).await.map_err(|_| late())??;
        let length = self.settings.watch;
        Ok(Watch {
            body,
            rest: BytesMut::new(),
            idle: self.settings.idle,
            until: Instant::now() + length + SLACK.min(length),
            cluster: cluster.clone(),
        })
    }

    fn length(&self) -> Duration {
        self.settings.watch
    }

    fn redactor(&self) -> &Redactor {
        &self.settings.redactor
    }
}

fn trouble(caller: &Caller<'_>, path: &str, refusal: &Refusal) -> Trouble {
    if refusal.is_old() {
        return Trouble::Old;
    }
    Trouble::Error(caller.error(&doing(caller.cluster, path), refusal))
}

fn doing(cluster: &ClusterRef, path: &str) -> String {
    let path = path.split('?').next().unwrap_or_default();
    format!("can't read {} of {cluster}", path.rsplit('/').next().unwrap_or_default())
}

/// A watch's answer while it comes.
#[derive(Debug)]
pub(crate) struct Watch {
    body: Body,
    /// What came after the last line's end.
    rest: BytesMut,
    idle: Duration,
    until: Instant,
    cluster: ClusterRef,
}

#[async_trait]
impl Lines for Watch {
    /// A server that says nothing, not even a bookmark, for too long is taken to have ended the watch: whether it is still
    /// there, the next one shows.
    async fn next(&mut self) -> Result<Option<Vec<u8>>, Trouble> {
        let mut searched = 0;
        loop {
            let found = self.rest[searched..].iter().position(|&byte| byte == b'\n');
            if let Some(end) = found {
                return Ok(Some(self.rest.split_to(searched + end + 1).to_vec()));
            }
            searched = self.rest.len();
            let quiet = self.until.min(Instant::now() + self.idle);
            match timeout_at(quiet, self.body.frame()).await {
                Err(_) | Ok(None) => return Ok(None),
                Ok(Some(Ok(frame))) => {
                    if let Ok(bytes) = frame.into_data() {
                        self.rest.extend_from_slice(&bytes);
                    }
                }
                Ok(Some(Err(_))) => return Err(self.lost("the connection broke")),
            }
            if self.rest.len() > LONGEST {
                return Err(self.lost("a line of its watch has no end"));
            }
        }
    }
}

impl Watch {
    fn lost(&self, why: &str) -> Trouble {
        Trouble::Error(lost(&self.cluster, why))
    }
}
