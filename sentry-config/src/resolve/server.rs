//! What is served over HTTP, and what its callers prove themselves with.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use sentry_core::names::WatchName;
use sentry_core::secret::{Secret, SecretSource};

use super::Resolver;
use crate::config::{ServerConfig, TokenConfig};
use crate::forge_kind::{ForgeKind, WEBHOOKS};
use crate::place::{At, Place};
use crate::raw::{RawForge, RawServer, RawToken};
use crate::values::SecretText;
use crate::words::{TokenRight, Word};

/// The keys of `server` that hold a token, in the order of what it may do.
pub(crate) const SERVER_TOKENS: [&str; 2] = ["read_token", "trigger_token"];

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
        let public_url = raw.public_url.and_then(|at| self.public_url(&at));
        let keys = [
            (raw.read_token, raw.read_token_file, TokenRight::Read),
            (raw.trigger_token, raw.trigger_token_file, TokenRight::Trigger),
        ];
        let mut tokens = Vec::new();
        for (key, (value, file, right)) in SERVER_TOKENS.into_iter().zip(keys) {
            let place = value.as_ref().map(|at| &at.place).or(file.as_ref().map(|at| &at.place));
            let Some(place) = place.cloned() else { continue };
            let given = self.secret_source("server", key, value, file);
            tokens.extend(given.map(|given| Known { name: key.to_owned(), place, given, right }));
        }
        for at in raw.tokens.into_iter().flat_map(|at| at.value) {
            tokens.extend(self.server_token(at, &tokens));
        }
        self.no_token_twice(&tokens);
        let tokens = tokens.into_iter().map(Known::into_config).collect();
        ServerConfig { listen, public_url, tokens }
    }

    fn public_url(&mut self, at: &At<String>) -> Option<String> {
        let example = "https://sentry.example.com";
        let url = self.page(&at.place, at.value.trim(), example)?;
        if url.query().is_some() || url.fragment().is_some() {
            let hint = format!("write where the page begins: {example}");
            self.report.error(&at.place, "has a query or a fragment", &hint);
            return None;
        }
        Some(url.as_str().trim_end_matches('/').to_owned())
    }

    /// One of `tokens`; `known` are those before it.
    fn server_token(&mut self, at: At<RawToken>, known: &[Known]) -> Option<Known> {
        let At { value: raw, place, .. } = at;
        let hint = "give it a short name such as release-bot";
        let name = match &raw.name {
            Some(at) => self.parsed::<WatchName>(at, hint).map(|name| name.to_string()),
            None => {
                self.report.missing(&place, "name", hint);
                None
            }
        };
        let right = self.right(raw.may, &place);
        let parent = format!("server.tokens.{}", name.as_deref().unwrap_or_default());
        let given = self.secret_source(&parent, "token", raw.token, raw.token_file);
        if given.is_none() {
            let hint = "write token: ${VARIABLE}, or token_file";
            self.report.missing(&place, "token", hint);
        }
        let (name, at) = (name?, raw.name?.place);
        if known.iter().any(|token| token.name == name) {
            let hint = "give each token its own name";
            self.report.error(&at, "another token has this name", hint);
        }
        Some(Known { name, place, given: given?, right: right? })
    }

    fn right(
        &mut self,
        may: Option<At<Vec<At<Word<TokenRight>>>>>,
        parent: &Place,
    ) -> Option<TokenRight> {
        let hint = "write [read], [trigger], or [approve] for everything";
        let Some(at) = may else {
            self.report.missing(parent, "may", hint);
            return None;
        };
        let most = at.value.iter().map(|word| word.value.0).max();
        if most.is_none() {
            self.report.error(&at.place, "is empty: the token would be good for nothing", hint);
        }
        most
    }

    /// One token under two names could not be told apart, and the audit log would name the wrong holder.
    fn no_token_twice(&mut self, tokens: &[Known]) {
        for (number, token) in tokens.iter().enumerate() {
            let text = |token: &Known| token.given.secret.as_ref().map(|s| s.expose().to_owned());
            let is_same = |other: &&Known| text(other).is_some() && text(other) == text(token);
            let Some(other) = tokens[..number].iter().find(is_same) else { continue };
            let message = format!("is the same token as {}", other.name);
            let hint = "use a different token for each: openssl rand -hex 32";
            self.report.error(&token.place, message, hint);
        }
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

/// A token of the server that was found so far.
struct Known {
    name: String,
    place: Place,
    given: Given,
    right: TokenRight,
}

impl Known {
    fn into_config(self) -> TokenConfig {
        TokenConfig { name: self.name, source: self.given.source, right: self.right }
    }
}

/// A secret with where it comes from.
pub(super) struct Given {
    pub(super) source: SecretSource,
    /// What it is now, if that can be told.
    pub(super) secret: Option<Secret>,
}
