//! The tokens of the server, as it wants them: from the configuration, files read again for each request.

use async_trait::async_trait;
use sentry_api::{ApiError, ErrorKind};
use sentry_config::{ServerConfig, TokenConfig, TokenRight};
use sentry_core::secret::{Form, Redactor};
use sentry_server::api::{Holder, Keys, Proof, Right};

#[derive(Debug)]
pub(super) struct Tokens {
    known: Vec<TokenConfig>,
    redactor: Redactor,
}

impl Tokens {
    /// `None` if the configuration names no token: then there is no API.
    pub(super) fn of(config: &ServerConfig, redactor: &Redactor) -> Option<Self> {
        let known = config.tokens.clone();
        (!known.is_empty()).then(|| Self { known, redactor: redactor.clone() })
    }
}

#[async_trait]
impl Keys for Tokens {
    /// Where two files hold one token, its holder may do what either allows. A file that can't be read now keeps only
    /// those out whose token no other one is.
    async fn holder_of(&self, is_it: Proof<'_>) -> Result<Option<Holder>, ApiError> {
        let (mut best, mut unread) = (None::<Holder>, false);
        for TokenConfig { name, source, right } in &self.known {
            match source.read("token file", Form::Word, &self.redactor).await {
                Ok(known) if is_it(known.expose()) => {
                    let right = match right {
                        TokenRight::Read => Right::Read,
                        TokenRight::Trigger => Right::Trigger,
                        TokenRight::Approve => Right::Approve,
                    };
                    if best.as_ref().is_none_or(|best| best.right < right) {
                        best = Some(Holder { name: name.clone(), right });
                    }
                }
                Ok(_) => {}
                Err(error) => {
                    let error = sentry_core::error::text(&error);
                    tracing::warn!(error, token = name, "can't read an API token");
                    unread = true;
                }
            }
        }
        if best.is_none() && unread {
            let text = "can't read the API tokens: see the log";
            return Err(ApiError::new(ErrorKind::Setup, text));
        }
        Ok(best)
    }
}
