//! What is served over HTTP, and what its callers prove themselves with.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Resolver;
use crate::config::{ForgeKind, SecretSource, ServerConfig};
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
                self.report.error(&at.place, "is no address with a port", hint);
            }
            address
        });
        let place = raw.trigger_token.as_ref().map(|at| at.place.clone());
        let read_token =
            self.secret_source("server", "read_token", raw.read_token, raw.read_token_file);
        let trigger_token = self.secret_source(
            "server",
            "trigger_token",
            raw.trigger_token,
            raw.trigger_token_file,
        );
        if let (Some(SecretSource::Value(read)), Some(SecretSource::Value(trigger)), Some(place)) =
            (&read_token, &trigger_token, place)
            && read.expose() == trigger.expose()
        {
            let hint = "make another token: who may only read would start deliveries with this one";
            self.report.error(&place, "is the read_token", hint);
        }
        ServerConfig { listen, read_token, trigger_token }
    }

    /// What a forge's webhooks prove themselves with.
    pub(super) fn webhook_secret(
        &mut self,
        kind: ForgeKind,
        raw: &mut RawForge,
        place: &Place,
    ) -> Option<SecretSource> {
        let (value, file) = (raw.webhook_secret.take(), raw.webhook_secret_file.take());
        let given = value.as_ref().map(|at| &at.place).or(file.as_ref().map(|at| &at.place));
        if let (Some(given), ForgeKind::Git) = (given, kind) {
            let hint = "remove it; it belongs to types github and gitlab";
            self.report.error(given, "a plain git server sends no webhooks", hint);
            return None;
        }
        let signing = |at: &At<SecretText>| {
            let key =
                at.value.0.expose().strip_prefix("whsec_").filter(|_| kind == ForgeKind::GitLab);
            key.is_some_and(|key| STANDARD.decode(key).is_err())
        };
        if let Some(at) = value.as_ref().filter(|at| signing(at)) {
            let hint = "copy GitLab's signing token again: whsec_ and base64";
            self.report.error(&at.place, "is no signing token", hint);
        }
        self.secret_source(&place.path, "webhook_secret", value, file)
    }

    /// A secret that stands in the file, or in a file of its own.
    pub(super) fn secret_source(
        &mut self,
        parent: &str,
        key: &str,
        value: Option<At<SecretText>>,
        file: Option<At<String>>,
    ) -> Option<SecretSource> {
        if let (Some(_), Some(second)) = (&value, &file) {
            let message = format!("{parent} already has a {key}");
            self.report.error(&second.place, message, &format!("keep one of {key} and {key}_file"));
        }
        match (value, file) {
            (Some(at), _) => {
                if at.value.0.expose().len() < SHORTEST {
                    let hint = "make a longer one: openssl rand -hex 32";
                    self.report.warn(&at.place, "can be guessed: it is short", hint);
                }
                Some(SecretSource::Value(self.secret(parent, key, at)))
            }
            (None, Some(at)) => Some(SecretSource::File(self.file(&at))),
            (None, None) => None,
        }
    }
}
