//! Receivers of notifications, and which watches they hear of.

use std::collections::BTreeMap;

use minijinja::Environment as Templates;
use sentry_core::names::WatchName;
use sentry_core::notifier::TEMPLATE_FIELDS;
use sentry_core::secret::{Secret, SecretSource};
use sentry_core::subscription::{On, Route, Subscription};
use url::Url;

use super::Resolver;
use crate::config::{ReceiverConfig, ReceiverKind};
use crate::place::{At, Place};
use crate::raw::{RawHearer, RawReceiver};
use crate::read::nearest_hint;

/// What a template may call, beside the fields.
const FUNCTIONS: [&str; 5] = ["url", "range", "dict", "namespace", "loop"];

/// The receivers that were found so far.
#[derive(Debug, Default)]
pub(crate) struct Receivers {
    pub(crate) all: Vec<ReceiverConfig>,
    /// What the receivers of the whole file hear, in order.
    global: Vec<Subscription>,
    /// Every name, with its line.
    names: BTreeMap<String, usize>,
}

impl Resolver<'_> {
    /// The receivers that every watch has unless it says otherwise.
    pub(super) fn receivers(&mut self, raw: Option<At<Vec<At<RawReceiver>>>>) {
        for at in raw.into_iter().flat_map(|at| at.value) {
            if let Some(subscription) = self.receiver(at) {
                self.receivers.global.push(subscription);
            }
        }
    }

    /// Who hears of a watch; `None` if that can't be told.
    pub(super) fn hearers(
        &mut self,
        raw: Option<At<Vec<At<RawHearer>>>>,
    ) -> Option<Vec<Subscription>> {
        let Some(raw) = raw else { return Some(self.receivers.global.clone()) };
        let count = raw.value.len();
        let mut hearers: Vec<Subscription> = Vec::new();
        for At { value, place, .. } in raw.value {
            let hearer = match value {
                RawHearer::Own(own) => self.receiver(At::new(*own, place.clone())),
                RawHearer::Named(name) => self.named_receiver(name.trim(), &place),
            };
            let Some(hearer) = hearer else { continue };
            if hearers.iter().any(|known| known.receiver == hearer.receiver) {
                self.report.error(&place, "appears twice", "remove one of the two");
            }
            hearers.push(hearer);
        }
        (hearers.len() == count).then_some(hearers)
    }

    fn named_receiver(&mut self, name: &str, place: &Place) -> Option<Subscription> {
        let known = self.receivers.global.iter().find(|known| known.receiver == name);
        if known.is_none() && !self.report.any_bad_below("notify") {
            let names: Vec<&str> =
                self.receivers.global.iter().map(|known| known.receiver.as_str()).collect();
            let hint = match names[..] {
                [] => "add it to `notify` at the top of the file".to_owned(),
                _ => nearest_hint(name, &names),
            };
            self.report.error(place, "no receiver has this name", &hint);
        }
        known.cloned()
    }

    fn receiver(&mut self, at: At<RawReceiver>) -> Option<Subscription> {
        let At { value: mut raw, place, .. } = at;
        let name = self.receiver_name(raw.name.take(), &place);
        let kind = match raw.receiver_type.take() {
            Some(at) => Some(at.value.0),
            None => {
                self.report.missing(&place, "type", "write slack, mattermost or webhook");
                None
            }
        };
        let template = raw.template.take().and_then(|at| self.template(at));
        let ca_file = raw.ca_file.take().map(|at| self.ca_file(&at));
        let routes = raw.routes.take().map_or_else(
            || Some(Route::ALL.to_vec()),
            |at| {
                let routes = at.value.iter().map(|at| at.value.0).collect();
                self.some_of(&at.place, routes, "routes")
            },
        );
        let on = raw.on.take().map_or_else(
            || Some(vec![On::Failure, On::Recovery]),
            |at| self.some_of(&at.place, at.value.iter().map(|at| at.value.0).collect(), "on"),
        );
        let (name, kind) = (name?, kind?);
        let parent = format!("notify.{name}");
        let url = self.receiver_url(&mut raw, kind, &parent, &place);
        let secret = self.receiver_secret(&mut raw, kind, &parent);
        let (routes, on) = (routes?, on?);
        let config =
            ReceiverConfig { name: name.clone(), kind, url: url?, secret, template, ca_file };
        self.receivers.all.push(config);
        Some(Subscription { receiver: name, routes, on })
    }

    fn receiver_name(&mut self, at: Option<At<String>>, parent: &Place) -> Option<String> {
        let hint = "give it a short name such as qa-chat";
        let Some(at) = at else {
            self.report.missing(parent, "name", hint);
            return None;
        };
        let name = self.parsed::<WatchName>(&at, hint)?.to_string();
        if let Some(first) = self.receivers.names.insert(name.clone(), at.place.line) {
            let message = format!("another receiver has this name, on line {first}");
            self.report.error(&at.place, message, "give each receiver its own name");
            return None;
        }
        Some(name)
    }

    fn some_of<T>(&mut self, place: &Place, all: Vec<T>, key: &str) -> Option<Vec<T>> {
        if all.is_empty() {
            let message = "is empty: the receiver would never be notified";
            self.report.error(place, message, &format!("remove `{key}` to use its default"));
            return None;
        }
        Some(all)
    }

    /// The address, which is a secret for chats: whoever has it may write there.
    fn receiver_url(
        &mut self,
        raw: &mut RawReceiver,
        kind: ReceiverKind,
        parent: &str,
        place: &Place,
    ) -> Option<SecretSource> {
        let (value, file) = (raw.url.take(), raw.url_file.take());
        if let (Some(_), Some(second)) = (&value, &file) {
            let hint = "keep one of url and url_file";
            self.report.error(&second.place, "the receiver already has a url", hint);
        }
        let at = match (value, file) {
            (Some(at), _) => at,
            (None, Some(at)) => {
                let (path, secret) = self.secret_file(&at);
                secret.map_or(Some(()), |url| self.address(&url, &at.place))?;
                return Some(SecretSource::File(path));
            }
            (None, None) => {
                let hint = "write ${VARIABLE}, or use url_file";
                self.report.missing(place, "url", hint);
                return None;
            }
        };
        self.address(&at.value.0, &at.place)?;
        if kind == ReceiverKind::Webhook {
            if let Some(written) = at.written {
                self.references.insert(format!("{parent}.url"), written);
            }
            return Some(SecretSource::Value(at.value.0));
        }
        Some(SecretSource::Value(self.secret(parent, "url", at)))
    }

    /// Whether an address can be a receiver's.
    fn address(&mut self, url: &Secret, place: &Place) -> Option<()> {
        let url = Url::parse(url.expose());
        let url = url.ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let Some(url) = url.filter(|url| url.host_str().is_some()) else {
            let hint = "write the full address: https://hooks.example.com/…";
            self.report.error(place, "is not an http or https URL", hint);
            return None;
        };
        if url.scheme() == "http" && !super::forge::is_loopback(&url) {
            let hint = "use https, unless you control the network in between";
            self.report.warn(place, "is reached unencrypted", hint);
        }
        Some(())
    }

    fn receiver_secret(
        &mut self,
        raw: &mut RawReceiver,
        kind: ReceiverKind,
        parent: &str,
    ) -> Option<SecretSource> {
        let (value, file) = (raw.secret.take(), raw.secret_file.take());
        let given = value.as_ref().map(|at| &at.place).or(file.as_ref().map(|at| &at.place));
        if let Some(given) = given.filter(|_| kind != ReceiverKind::Webhook) {
            let hint = "remove it; it belongs to type webhook";
            self.report.error(given, "a chat does not verify signatures", hint);
            return None;
        }
        self.secret_source(parent, "secret", value, file).map(|given| given.source)
    }

    /// A template that can be read, and names nothing that nobody fills.
    fn template(&mut self, at: At<String>) -> Option<String> {
        let templates = Templates::empty();
        let unknown = match templates.template_from_named_str("template", &at.value) {
            Err(error) => {
                let detail = error.detail().unwrap_or("a syntax error");
                let line = error.line().map(|line| format!(", on template line {line}"));
                let message =
                    format!("is not a valid template: {detail}{}", line.unwrap_or_default());
                let hint =
                    "https://docs.rs/minijinja/latest/minijinja/syntax/ describes the syntax";
                self.report.error(&at.place, message, hint);
                return None;
            }
            Ok(template) => {
                let mut names = template.undeclared_variables(false).into_iter();
                names.find(|name| {
                    !TEMPLATE_FIELDS.contains(&name.as_str()) && !FUNCTIONS.contains(&name.as_str())
                })
            }
        };
        if let Some(name) = unknown {
            let hint = nearest_hint(&name, &TEMPLATE_FIELDS);
            self.report.error(&at.place, format!("uses `{name}`, which does not exist"), &hint);
            return None;
        }
        Some(at.value)
    }
}
