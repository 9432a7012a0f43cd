//! Forges' webhooks, as the server wants them: neither knows the other.

use std::sync::Arc;

use async_trait::async_trait;
use http::HeaderMap;
use sentry_config::ForgeConfig;
use sentry_core::clock::Timestamp;
use sentry_core::repo::RepoPath;
use sentry_core::secret::Redactor;
use sentry_forge::webhook::{Incoming, Message, Webhook, WebhookError};
use sentry_server::{self as server, Reading, Refusal, WebhookEndpoint};

use super::page::site;

/// The endpoint of a forge that has a secret for it.
pub(super) fn endpoint(forge: &ForgeConfig, redactor: &Redactor) -> Option<WebhookEndpoint> {
    let sender = super::sender(forge.kind)?;
    let secret = forge.webhook_secret.clone()?;
    let root = site(forge).map(|site| site.path().trim_matches('/').to_owned());
    let webhook = Webhook::new(sender, secret, redactor.clone());
    let webhook = Arc::new(Adapter { webhook, root: root.unwrap_or_default() });
    Some(WebhookEndpoint { forge: forge.name.clone(), kind: forge.kind.as_str(), webhook })
}

#[derive(Debug)]
struct Adapter {
    webhook: Webhook,
    /// What comes before a repository's path where the forge is below a path itself: no webhook has it.
    root: String,
}

struct Body {
    incoming: Incoming,
    root: String,
}

#[async_trait]
impl server::Webhook for Adapter {
    async fn begin(
        &self,
        headers: &HeaderMap,
        now: Timestamp,
    ) -> Result<Box<dyn Reading>, Refusal> {
        let incoming = self.webhook.begin(headers, now).await.map_err(refusal)?;
        Ok(Box::new(Body { incoming, root: self.root.clone() }))
    }
}

impl Reading for Body {
    fn take(&mut self, bytes: &[u8]) {
        self.incoming.take(bytes);
    }

    fn finish(self: Box<Self>) -> Result<server::Message, Refusal> {
        Ok(match self.incoming.finish().map_err(refusal)? {
            Message::Hint { repo } => server::Message::Hint(below(&self.root, repo)),
            Message::Ping => server::Message::Ping,
            Message::Repeated => server::Message::Repeated,
            Message::Ignored(event) => server::Message::Ignored(event),
        })
    }
}

fn below(root: &str, repo: RepoPath) -> RepoPath {
    if root.is_empty() { repo } else { format!("{root}/{repo}").parse().unwrap_or(repo) }
}

/// What the sender is told; an unreadable secret is for the log alone, because its text names files.
fn refusal(refused: WebhookError) -> Refusal {
    match refused {
        WebhookError::Secret(error) => {
            tracing::warn!(error = %sentry_core::error::text(&error), "can't verify a webhook");
            Refusal::Unavailable("can't be verified now".to_owned())
        }
        WebhookError::Unreadable(text) => Refusal::Unreadable(text.to_owned()),
        WebhookError::Unsigned(_) | WebhookError::Wrong(_) | WebhookError::OutOfTime => {
            Refusal::Unverified(refused.to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use sentry_config::Environment;

    use super::*;

    async fn hinted(url: &str) -> String {
        let site = url.trim_end_matches('/');
        let text = format!(
            "forges:\n  lab: {{type: gitlab, url: '{url}', token: t0ken-of-lab, webhook_secret: s3cret-of-lab}}\n\
             watches:\n  - name: qa\n    \
             source: {{forge: lab, url: '{site}/acme/shop', branches: main}}\n    \
             manifests: {{forge: lab, url: '{site}/acme/tests', branch: main}}\n    \
             cluster: {{deployer: dry-run, namespace: qa}}\n"
        );
        let config = sentry_config::parse(&text, "sentry.yaml", &Environment::default()).unwrap();
        let endpoint = endpoint(&config.forges[0], &Redactor::new()).unwrap();
        let headers = [
            ("content-type", "application/json"),
            ("x-gitlab-event", "Push Hook"),
            ("x-gitlab-token", "s3cret-of-lab"),
        ];
        let headers = headers.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        let headers = HeaderMap::from_iter(headers);
        let Ok(mut body) = endpoint.webhook.begin(&headers, Timestamp::UNIX_EPOCH).await else {
            panic!("{url}: the headers are right");
        };
        body.take(br#"{"object_kind":"push","ref":"refs/heads/main","project":{"path_with_namespace":"acme/shop"}}"#);
        let Ok(server::Message::Hint(repo)) = body.finish() else { panic!("{url}: a hint") };
        let watched = &config.watches[0].source.repo;
        assert_eq!(watched.path(), repo, "{url}: the hint is about the repository that is watched");
        repo.to_string()
    }

    #[tokio::test]
    async fn a_webhook_is_about_the_watched_repository_wherever_its_forge_is() {
        assert_eq!(hinted("https://lab.example.com").await, "acme/shop");
        assert_eq!(hinted("https://example.com/git").await, "git/acme/shop");
        assert_eq!(hinted("https://example.com/tools/git/").await, "tools/git/acme/shop");
    }
}
