//! The tokens of the API, as the server wants them: from the configuration, files read again for each request.

use async_trait::async_trait;
use sentry_api::{ApiError, ErrorKind};
use sentry_config::ServerConfig;
use sentry_core::secret::{Form, Redactor, SecretSource};
use sentry_server::api::{Keys, Right};
use sha2::{Digest as _, Sha256};

#[derive(Debug)]
pub(super) struct Tokens {
    known: Vec<(Right, SecretSource)>,
    redactor: Redactor,
}

impl Tokens {
    /// `None` if the configuration names no token: then there is no API.
    pub(super) fn of(config: &ServerConfig, redactor: &Redactor) -> Option<Self> {
        let sources = [(Right::Trigger, &config.trigger_token), (Right::Read, &config.read_token)];
        let known: Vec<_> = sources
            .into_iter()
            .filter_map(|(right, source)| Some((right, source.clone()?)))
            .collect();
        (!known.is_empty()).then(|| Self { known, redactor: redactor.clone() })
    }
}

#[async_trait]
impl Keys for Tokens {
    async fn right(&self, token: &str) -> Result<Option<Right>, ApiError> {
        // Digests are compared: how long it takes tells nothing of the tokens.
        let shown = Sha256::digest(token);
        let mut best = None;
        for (right, source) in &self.known {
            match source.read("token file", Form::Word, &self.redactor).await {
                Ok(known) if Sha256::digest(known.expose()) == shown => {
                    best = best.max(Some(*right));
                }
                Ok(_) => {}
                Err(error) => {
                    let error = sentry_core::error::text(&error);
                    tracing::warn!(error, "can't read an API token");
                    let text = "can't read the API tokens: see the log";
                    return Err(ApiError::new(ErrorKind::Setup, text));
                }
            }
        }
        Ok(best)
    }
}
