//! Receivers of notifications, as the configuration describes them.

use std::sync::Arc;

use sentry_config::{Config, ReceiverConfig, ReceiverKind};
use sentry_core::clock::SystemClock;
use sentry_core::secret::Redactor;
use sentry_notify::{Kind, Receiver, Settings};

use super::ComposeError;

/// Every receiver of a configuration. Nobody was told anything yet.
///
/// # Errors
/// [`ComposeError::Receiver`] names the one that can't be set up.
pub(crate) fn receivers(
    config: &Config,
    redactor: &Redactor,
) -> Result<Vec<Arc<Receiver>>, ComposeError> {
    let receiver = |one: &ReceiverConfig| {
        Receiver::new(settings(one, redactor))
            .map(Arc::new)
            .map_err(|source| ComposeError::Receiver { name: one.name.clone(), source })
    };
    config.receivers.iter().map(receiver).collect()
}

fn settings(config: &ReceiverConfig, redactor: &Redactor) -> Settings {
    Settings {
        name: config.name.clone(),
        kind: match config.kind {
            ReceiverKind::Webhook => Kind::Webhook,
            ReceiverKind::Slack => Kind::Slack,
            ReceiverKind::Mattermost => Kind::Mattermost,
        },
        url: config.url.clone(),
        secret: config.secret.clone(),
        template: config.template.clone(),
        ca_file: config.ca_file.clone(),
        clock: Arc::new(SystemClock),
        redactor: redactor.clone(),
    }
}
