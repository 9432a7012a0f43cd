//! Forges' webhooks, as the server wants them: neither knows the other.

use std::sync::Arc;

use async_trait::async_trait;
use http::HeaderMap;
use sentry_config::ForgeConfig;
use sentry_core::clock::Timestamp;
use sentry_core::secret::Redactor;
use sentry_forge::webhook::{Incoming, Message, Refused, Webhook};
use sentry_server::{self as server, Reading, Refusal, WebhookEndpoint};

/// The endpoint of a forge that has a secret for it.
pub(super) fn endpoint(forge: &ForgeConfig, redactor: &Redactor) -> Option<WebhookEndpoint> {
    let sender = super::sender(forge.kind)?;
    let secret = forge.webhook_secret.clone()?;
    let webhook = Arc::new(Adapter(Webhook::new(sender, secret, redactor.clone())));
    Some(WebhookEndpoint { forge: forge.name.clone(), kind: forge.kind.as_str(), webhook })
}

#[derive(Debug)]
struct Adapter(Webhook);

struct Body(Incoming);

#[async_trait]
impl server::Webhook for Adapter {
    async fn begin(
        &self,
        headers: &HeaderMap,
        now: Timestamp,
    ) -> Result<Box<dyn Reading>, Refusal> {
        let begun = self.0.begin(headers, now).await.map_err(refusal)?;
        Ok(Box::new(Body(begun)))
    }
}

impl Reading for Body {
    fn take(&mut self, bytes: &[u8]) {
        self.0.take(bytes);
    }

    fn finish(self: Box<Self>) -> Result<server::Message, Refusal> {
        Ok(match self.0.finish().map_err(refusal)? {
            Message::Hint { repo } => server::Message::Hint(repo),
            Message::Ping => server::Message::Ping,
            Message::Repeated => server::Message::Repeated,
            Message::Ignored(event) => server::Message::Ignored(event),
        })
    }
}

/// What the sender is told; an unreadable secret is for the log alone, because its text names files.
fn refusal(refused: Refused) -> Refusal {
    match refused {
        Refused::Secret(error) => {
            tracing::warn!(error = %sentry_core::error::text(&error), "a webhook can't be verified");
            Refusal::Unavailable("can't be verified now".to_owned())
        }
        Refused::Unreadable(text) => Refusal::Unreadable(text.to_owned()),
        Refused::Unsigned(_) | Refused::Wrong(_) | Refused::OutOfTime => {
            Refusal::Unverified(refused.to_string())
        }
    }
}
