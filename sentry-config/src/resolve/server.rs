//! What is served over HTTP, and what its callers prove themselves with.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use sentry_core::secret::{Secret, SecretSource};

use super::Resolver;
use crate::config::ServerConfig;
use crate::forge_kind::{ForgeKind, WEBHOOKS};
use crate::place::{At, Place};
use crate::raw::{RawForge, RawServer};
use crate::values::SecretText;

/// Shorter secrets can be guessed by whoever may ask often enough.
const SHORTEST: usize = 16;

impl Resolver<'_> {
    pub(super) fn server(&mut self, raw: Option<At<RawServer>>) -> ServerConfig {
        let Some(At { value: raw, .. }) = raw else { return ServerConfig::default() };
        let listen = raw.listen.and_then(|at| {
            let address = at.value.trim().parse().ok();
            if address.is_none() {
                let hint = "write 127.0.0.1:8080, or 0.0.0.0:8080 for every interface";
                self.report.error(&at.place, "is not an address with a port", hint);
            }
            address
        });
        let place = raw.trigger_token.as_ref().map(|at| &at.place);
        let place = place.or(raw.trigger_token_file.as_ref().map(|at| &at.place)).cloned();
        let read = self.secret_source("server", "read_token", raw.read_token, raw.read_token_file);
        let trigger = self.secret_source(
            "server",
            "trigger_token",
            raw.trigger_token,
            raw.trigger_token_file,
        );
        let text = |given: &Option<Given>| {
            given.as_ref().and_then(|given| Some(given.secret.as_ref()?.expose().to_owned()))
        };
        if let Some(place) =
            place.filter(|_| text(&read).is_some() && text(&read) == text(&trigger))
        {
            let hint =
                "use a different token: read-only users could start deliveries with this one";
            self.report.error(&place, "is the read_token", hint);
        }
        let source = |given: Option<Given>| given.map(|given| given.source);
        ServerConfig { listen, read_token: source(read), trigger_token: source(trigger) }
    }

    /// What a forge's webhooks prove themselves with.
    pub(super) fn webhook_secret(
        &mut self,
        kind: Option<ForgeKind>,
        raw: &mut RawForge,
        parent: &Place,
    ) -> Option<SecretSource> {
        let (value, file) = (raw.webhook_secret.take(), raw.webhook_secret_file.take());
        let given = value.as_ref().map(|at| &at.place).or(file.as_ref().map(|at| &at.place));
        if let (Some(given), Some(kind)) = (given, kind)
            && !kind.takes(WEBHOOKS)
        {
            let hint = format!("remove it; it belongs to {}", ForgeKind::taking(WEBHOOKS));
            self.report.error(given, "a plain git server sends no webhooks", &hint);
            return None;
        }
        let place = given.cloned();
        let given = self.secret_source(&parent.path, "webhook_secret", value, file)?;
        let begin = kind.and_then(ForgeKind::signing_token);
        let text = given.secret.as_ref().map(Secret::expose);
        let key = begin.zip(text).and_then(|(begin, text)| text.strip_prefix(begin));
        if let (Some(place), Some(begin), Some(key)) = (place, begin, key)
            && STANDARD.decode(key).is_err()
        {
            let hint = format!("copy the signing token again: {begin} and base64");
            self.report.error(&place, "is not a signing token", &hint);
        }
        Some(given.source)
    }

    /// A secret that stands in the file, or in a file of its own.
    pub(super) fn secret_source(
        &mut self,
        parent: &str,
        key: &str,
        value: Option<At<SecretText>>,
        file: Option<At<String>>,
    ) -> Option<Given> {
        if let (Some(_), Some(second)) = (&value, &file) {
            let message = format!("{parent} already has a {key}");
            self.report.error(&second.place, message, &format!("keep one of {key} and {key}_file"));
        }
        let (place, given) = match (value, file) {
            (Some(at), _) => {
                let place = at.place.clone();
                let secret = self.secret(parent, key, at);
                (place, Given { secret: Some(secret.clone()), source: SecretSource::Value(secret) })
            }
            (None, Some(at)) => {
                let (path, secret) = self.secret_file(&at);
                (at.place, Given { secret, source: SecretSource::File(path) })
            }
            (None, None) => return None,
        };
        if given.secret.as_ref().is_some_and(|secret| secret.expose().len() < SHORTEST) {
            let hint = "create a longer one: openssl rand -hex 32";
            self.report.warn(&place, "is too short: it can be guessed", hint);
        }
        Some(given)
    }
}

/// A secret with where it comes from.
pub(super) struct Given {
    pub(super) source: SecretSource,
    /// What it is now, if that can be told.
    pub(super) secret: Option<Secret>,
}
