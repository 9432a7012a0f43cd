//! The notifier: where to, what, and how it is said there.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use sentry_core::clock::{Clock, Timestamp};
use sentry_core::delivery::Cause;
use sentry_core::ids::{DeliveryId, NoticeId};
use sentry_core::notifier::{Notice, Notifier, NotifyError, NotifyErrorKind, RunCounts};
use sentry_core::revision::Revision;
use sentry_core::secret::{Form, Redactor, Secret, SecretSource};
use sentry_core::subject::Subject;
use sentry_core::subscription::{Occasion, Route};
use url::Url;

use crate::http::{Http, Message};
use crate::template::{Format, Template, problem};
use crate::{chat, webhook};

/// A shorter path of an address is no secret of its own.
const SECRET_PATH: usize = 16;

/// What a receiver understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// CloudEvents 1.0 as JSON.
    Webhook,
    /// An incoming webhook of Slack.
    Slack,
    /// An incoming webhook of Mattermost.
    Mattermost,
}

/// How a receiver is reached and spoken to.
#[derive(Debug)]
pub struct Settings {
    /// The name that watches subscribe.
    pub name: String,
    /// What it understands.
    pub kind: Kind,
    /// Its address: https, or http.
    pub url: SecretSource,
    /// For [`Kind::Webhook`]: what its events are signed with.
    pub secret: Option<SecretSource>,
    /// The text, as a template of minijinja; without it each route has one of ours.
    pub template: Option<String>,
    /// Certificates (PEM) to trust besides the system's.
    pub ca_file: Option<PathBuf>,
    /// Where the stamps of signatures come from.
    pub clock: Arc<dyn Clock>,
    /// What takes secrets out of texts. It learns the address and the secret before they are used.
    pub redactor: Redactor,
}

/// A receiver of notices over HTTP.
#[derive(Debug)]
pub struct Receiver {
    settings: Settings,
    http: Http,
    template: Template,
}

impl Receiver {
    /// A receiver; sends nothing yet.
    ///
    /// # Errors
    /// [`NotifyErrorKind::Local`] if the template or the CA file can't be used. A retry does not help.
    pub fn new(mut settings: Settings) -> Result<Self, NotifyError> {
        let format = match settings.kind {
            Kind::Webhook => Format::Plain,
            Kind::Slack => Format::Slack,
            Kind::Mattermost => Format::Mattermost,
        };
        let template = Template::new(format, settings.template.take());
        let http = Http::new(&settings.name, settings.ca_file.as_deref(), &settings.redactor)?;
        let receiver = Self { settings, http, template };
        receiver.check_template()?;
        Ok(receiver)
    }

    /// The name that watches subscribe.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// Sends the receiver a test notice.
    ///
    /// # Errors
    /// As [`Notifier::notify`].
    pub async fn test(&self, id: NoticeId, route: Route) -> Result<(), NotifyError> {
        let example = example(id, route, Occasion::Test, self.settings.clock.now());
        let none = || NotifyError::new(NotifyErrorKind::Local, "there is no example to send");
        self.notify(&example.ok_or_else(none)?).await
    }

    /// Fills the template as each notice would.
    fn check_template(&self) -> Result<(), NotifyError> {
        let at = self.settings.clock.now();
        for route in Route::ALL {
            for occasion in Occasion::ALL {
                let Some(example) = example(NoticeId::new(at, 0), *route, *occasion, at) else {
                    continue;
                };
                if let Err(error) = self.template.render(&example) {
                    let what = format!("the template of receiver {}", self.settings.name);
                    let text = format!("{what} can't be used: {}", problem(&error));
                    return Err(NotifyError::new(NotifyErrorKind::Local, text)
                        .with_hint("docs/operations.md lists what a template may name"));
                }
            }
        }
        Ok(())
    }

    /// The address as it is now. The redactor learns it, and the part that makes it a secret.
    async fn address(&self) -> Result<Secret, NotifyError> {
        let name = &self.settings.name;
        let secret = self.read(&self.settings.url, "address").await?;
        let unusable = || {
            let text = format!("the address of receiver {name} is not an http or https URL");
            NotifyError::new(NotifyErrorKind::Local, text)
                .with_hint("write a full URL: https://hooks.example.com/…")
        };
        let url: Url = secret.expose().parse().map_err(|_| unusable())?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(unusable());
        }
        let path = &url[url::Position::BeforePath..];
        if path.len() >= SECRET_PATH {
            self.settings.redactor.learn(&Secret::new(path));
        }
        Ok(secret)
    }

    async fn read(&self, source: &SecretSource, what: &str) -> Result<Secret, NotifyError> {
        let what = format!("{what} of receiver {} in", self.settings.name);
        let read = source.read(&what, Form::Word, &self.settings.redactor).await;
        read.map_err(|error| error.of_kind(NotifyErrorKind::Local))
    }

    async fn signed(
        &self,
        notice: &Notice,
        body: &str,
    ) -> Result<Vec<(&'static str, String)>, NotifyError> {
        let Some(source) = &self.settings.secret else { return Ok(Vec::new()) };
        let secret = self.read(source, "secret").await?;
        let now = self.settings.clock.now();
        let headers = webhook::signature(&secret, notice.id.as_str(), now, body);
        Ok(headers.into_iter().flatten().collect())
    }
}

#[async_trait]
impl Notifier for Receiver {
    async fn notify(&self, notice: &Notice) -> Result<(), NotifyError> {
        let text = self.template.text(&self.settings.name, notice);
        let url = self.address().await?;
        let (content_type, body) = match self.settings.kind {
            Kind::Webhook => (webhook::CONTENT_TYPE, webhook::event(notice, &text).to_string()),
            // A template that says nothing of this notice means that nothing is said.
            Kind::Slack | Kind::Mattermost if text.trim().is_empty() => return Ok(()),
            Kind::Slack | Kind::Mattermost => {
                ("application/json; charset=utf-8", chat::body(&text))
            }
        };
        let headers = self.signed(notice, &body).await?;
        let message = Message { url: &url, content_type, headers, body };
        self.http.post(message, self.settings.clock.now()).await
    }
}

/// A notice of something that did not happen.
fn example(id: NoticeId, route: Route, occasion: Occasion, at: Timestamp) -> Option<Notice> {
    let sha = "0123456789abcdef0123456789abcdef01234567".parse().ok()?;
    Some(Notice {
        id,
        at,
        delivery: DeliveryId::new(at, 0),
        route,
        occasion,
        watch: "example".parse().ok()?,
        repo: "https://example.com/example/repo-a".parse().ok()?,
        revision: Revision { subject: Subject::Branch("main".parse().ok()?), sha },
        commit: None,
        manifests: None,
        namespace: "example".to_owned(),
        cause: Cause::Manual,
        asked_by: None,
        reason: Some("this is a test".to_owned()),
        attempts: 1,
        runs: RunCounts::default(),
        failed_runs: Vec::new(),
        link: None,
    })
}
