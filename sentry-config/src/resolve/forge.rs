//! Forges: their addresses and credentials.

use std::collections::BTreeMap;

use sentry_core::repo::{RepoUrl, Scheme};
use sentry_core::secret::{Secret, SecretSource};
use url::Url;

use super::Resolver;
use crate::config::{ForgeAuth, ForgeConfig, GitClient, Polling, ProxyUrl, SshConfig, TokenKind};
use crate::forge_kind::{API, ForgeKind, REPORTS};
use crate::place::{At, Place};
use crate::raw::{RawApp, RawForge, RawSsh};
use crate::values::SecretText;

impl Resolver<'_> {
    /// Every forge; one that has a problem is kept as far as it goes, so that watches can name it.
    pub(super) fn forges(
        &mut self,
        raw: Option<At<BTreeMap<String, At<RawForge>>>>,
    ) -> Vec<ForgeConfig> {
        raw.into_iter()
            .flat_map(|at| at.value)
            .filter_map(|(name, at)| self.forge(name, at))
            .collect()
    }

    fn forge(&mut self, name: String, at: At<RawForge>) -> Option<ForgeConfig> {
        let At { value: mut raw, place, .. } = at;
        let kind = raw.forge_type.as_ref().map(|at| at.value.0);
        match kind {
            Some(kind) => self.misplaced(kind, &raw),
            None => {
                self.report.missing(&place, "type", &format!("write {}", ForgeKind::any()));
            }
        }
        if kind.is_some_and(ForgeKind::wants_url) && raw.url.is_none() {
            self.report.missing(&place, "url", "set its address: https://git.example.com");
        }
        let url = raw.url.take().and_then(|at| self.forge_url(kind, &at));
        let (token_kind, polling) = (raw.token_kind.take(), raw.polling.take());
        let no_proxy = raw.no_proxy.take().map(|at| at.value.0).unwrap_or_default();
        let forge = ForgeConfig {
            // What depends on its type is not looked at where there is none.
            kind: kind.unwrap_or(ForgeKind::Git),
            url,
            origin: None,
            token_kind: token_kind.map_or(TokenKind::Private, |at| at.value.0),
            username: raw.username.take().map(|at| at.value),
            ssh: raw.ssh.take().and_then(|at| self.ssh(at)),
            proxy: raw.proxy.take().and_then(|at| self.proxy(&name, &at)),
            no_proxy: no_proxy.into_iter().map(|at| at.value).collect(),
            ca_file: raw.ca_file.take().map(|at| self.ca_file(&at)),
            polling: polling.map_or(Polling::Auto, |at| at.value.0),
            git: raw.git.take().map_or(GitClient::Within, |at| at.value.0),
            report_token: self.report_token(&name, &mut raw, &place),
            webhook_secret: self.webhook_secret(kind, &mut raw, &place),
            auth: self.auth(&name, raw, &place),
            name,
        };
        kind.is_some().then_some(forge)
    }

    /// Keys that mean nothing for this type of forge: whoever wrote them expects something that will not happen.
    fn misplaced(&mut self, kind: ForgeKind, raw: &RawForge) {
        let places = [
            ("app", raw.app.as_ref().map(|at| &at.place)),
            ("token_kind", raw.token_kind.as_ref().map(|at| &at.place)),
            ("username", raw.username.as_ref().map(|at| &at.place)),
            ("ssh", raw.ssh.as_ref().map(|at| &at.place)),
            (REPORTS, raw.report_token.as_ref().map(|at| &at.place)),
            (REPORTS, raw.report_token_file.as_ref().map(|at| &at.place)),
        ];
        for (key, place) in places {
            if let Some(place) = place.filter(|_| !kind.takes(key)) {
                let message = match key {
                    REPORTS => "a plain git server has no commit statuses".to_owned(),
                    _ => format!("does not apply to a forge of type {}", kind.as_str()),
                };
                let hint = format!("remove it; it belongs to {}", ForgeKind::taking(key));
                self.report.error(place, message, &hint);
            }
        }
        let by_api = raw.polling.as_ref().filter(|at| at.value.0 == Polling::Api);
        if let Some(at) = by_api.filter(|_| !kind.takes(API)) {
            let message = format!("a forge of type {} is polled with git", kind.as_str());
            self.report.error(&at.place, message, "write auto or git");
        }
    }

    fn forge_url(&mut self, kind: Option<ForgeKind>, at: &At<String>) -> Option<Url> {
        let hint = "write just the address: https://gitlab.example.com";
        let url = match Url::parse(at.value.trim()) {
            Ok(url) => url,
            Err(error) => {
                self.report.error(&at.place, format!("is not a URL: {error}"), hint);
                return None;
            }
        };
        if !url.username().is_empty() || url.password().is_some() {
            self.report.error(
                &at.place,
                "contains credentials",
                "put the token into the forge's `token` instead",
            );
            return None;
        }
        let host = url.host_str().unwrap_or_default().to_owned();
        let hosted = kind.filter(|kind| kind.is_hosted());
        let schemes: &[&str] =
            if hosted.is_some() { &["https", "http"] } else { &["https", "http", "ssh", "file"] };
        if !schemes.contains(&url.scheme()) {
            self.report.error(
                &at.place,
                format!("must use one of the schemes {}", schemes.join(", ")),
                hint,
            );
            return None;
        }
        if url.scheme() == "http" && !is_loopback(&url) {
            self.report.error(&at.place, "http would send the token in the clear", "use https");
            return None;
        }
        // The public forges are what a missing address means.
        match (hosted, ForgeKind::of_public_host(&host)) {
            (Some(kind), Some(other)) if kind != other => {
                let message = format!("{host} is not a forge of type {}", kind.as_str());
                let hint = format!("write type: {}, or the right address", other.as_str());
                self.report.error(&at.place, message, &hint);
                None
            }
            (Some(_), Some(_)) => None,
            _ => Some(url),
        }
    }

    fn auth(&mut self, name: &str, raw: RawForge, place: &Place) -> ForgeAuth {
        let RawForge { token, token_file, app, .. } = raw;
        let given = [
            token.as_ref().map(|at| &at.place),
            token_file.as_ref().map(|at| &at.place),
            app.as_ref().map(|at| &at.place),
        ];
        if let [_, second, ..] = given.into_iter().flatten().collect::<Vec<_>>()[..] {
            let hint = "keep one of token, token_file and app";
            self.report.error(
                second,
                format!("{} already has other credentials", place.path),
                hint,
            );
        }
        if let Some(at) = token {
            return ForgeAuth::Token(self.token(name, "token", at));
        }
        if let Some(at) = token_file {
            return ForgeAuth::Token(SecretSource::File(self.secret_file(&at).0));
        }
        app.and_then(|at| self.app(at)).unwrap_or(ForgeAuth::Anonymous)
    }

    /// The token that sets statuses, where it is not the other one.
    fn report_token(
        &mut self,
        name: &str,
        raw: &mut RawForge,
        place: &Place,
    ) -> Option<SecretSource> {
        let (token, file) = (raw.report_token.take(), raw.report_token_file.take());
        if let (Some(_), Some(second)) = (&token, &file) {
            let message = format!("{} already has a report_token", place.path);
            let hint = "keep one of report_token and report_token_file";
            self.report.error(&second.place, message, hint);
        }
        match (token, file) {
            (Some(at), _) => Some(self.token(name, "report_token", at)),
            (None, Some(at)) => Some(SecretSource::File(self.secret_file(&at).0)),
            (None, None) => None,
        }
    }

    fn token(&mut self, name: &str, key: &str, at: At<SecretText>) -> SecretSource {
        self.secret(&format!("forges.{name}"), key, at).into()
    }

    /// A secret of one word that the file should only refer to.
    pub(super) fn secret(&mut self, parent: &str, key: &str, at: At<SecretText>) -> Secret {
        match at.written {
            Some(written) => {
                self.references.insert(format!("{parent}.{key}"), written);
            }
            None if at.place.variable.is_none() => {
                let hint = format!("write ${{VARIABLE}}, or use {key}_file");
                self.report.warn(&at.place, "the token is written in the file itself", &hint);
            }
            None => {}
        }
        at.value.0
    }

    fn app(&mut self, at: At<RawApp>) -> Option<ForgeAuth> {
        let At { value: raw, place, .. } = at;
        let hint = "an app needs id, installation_id and private_key_file";
        for (there, key) in [
            (raw.id.is_some(), "id"),
            (raw.installation_id.is_some(), "installation_id"),
            (raw.private_key_file.is_some(), "private_key_file"),
        ] {
            if !there {
                self.report.missing(&place, key, hint);
            }
        }
        let private_key_file = raw.private_key_file.map(|at| self.app_key(&at));
        Some(ForgeAuth::App {
            id: raw.id?.value,
            installation_id: raw.installation_id?.value,
            private_key_file: private_key_file?,
        })
    }

    fn ssh(&mut self, at: At<RawSsh>) -> Option<SshConfig> {
        let At { value: raw, place, .. } = at;
        for (there, key) in
            [(raw.key_file.is_some(), "key_file"), (raw.known_hosts.is_some(), "known_hosts")]
        {
            if !there {
                self.report.missing(&place, key, "ssh needs key_file and known_hosts");
            }
        }
        let key_file = raw.key_file.map(|at| self.ssh_key(&at));
        let known_hosts = raw.known_hosts.map(|at| self.known_hosts(&at));
        Some(SshConfig { key_file: key_file?, known_hosts: known_hosts? })
    }

    fn proxy(&mut self, name: &str, at: &At<SecretText>) -> Option<ProxyUrl> {
        let hint = "write http://proxy.example.com:3128";
        let url = Url::parse(at.value.0.expose());
        let fits = |url: &Url| matches!(url.scheme(), "http" | "https") && url.host_str().is_some();
        match url {
            Ok(url) if fits(&url) => {
                if let Some(written) = &at.written {
                    self.references.insert(format!("forges.{name}.proxy"), written.clone());
                }
                Some(ProxyUrl::new(url))
            }
            _ => {
                self.report.error(&at.place, "is not the http or https URL of a proxy", hint);
                None
            }
        }
    }

    /// The forge of a repository: the named one, or the only one that the host fits.
    pub(super) fn forge_of(
        &mut self,
        name: Option<&At<String>>,
        url: Option<&At<String>>,
        repo: Option<&RepoUrl>,
        forges: &[&ForgeConfig],
    ) -> Option<String> {
        let named = name.map(|name| self.named(name, forges));
        let (url, repo) = (url?, repo?);
        let forge = match named {
            Some(forge) => forge?,
            None => self.fitting(url, repo, forges)?,
        };
        // A forge without the address that was meant for it is another one.
        if self.report.is_bad(&format!("forges.{}.url", forge.name)) {
            return None;
        }
        if forge.kind.is_hosted() && !matches!(repo.scheme(), Scheme::Https | Scheme::Http) {
            let message = format!("a forge of type {} is accessed over https", forge.kind.as_str());
            self.report.error(
                &url.place,
                message,
                "write https://host/owner/name, or use a forge of type git",
            );
            return None;
        }
        if !fits(forge, repo) {
            let place = forge.host().unwrap_or_default();
            let message = format!(
                "is not on {place}, where forge `{}` (type {}) is",
                forge.name,
                forge.kind.as_str()
            );
            let hint = "fix the URL, the forge's `url` or its `type`; a token is only sent to \
                        its own forge";
            self.report.error(&url.place, message, hint);
            return None;
        }
        if repo.scheme() == Scheme::Ssh && forge.ssh.is_none() {
            // A problem of the keys themselves is told where they stand.
            if !self.report.any_bad_below(&format!("forges.{}.ssh", forge.name)) {
                let message = format!("uses ssh, and forge `{}` has no ssh keys", forge.name);
                let hint = "give the forge `ssh: {key_file: …, known_hosts: …}`: no ssh-agent \
                            and no key from a home directory is used";
                self.report.error(&url.place, message, hint);
            }
            return None;
        }
        self.one_origin(forge, url, repo)?;
        Some(forge.name.clone())
    }

    /// A plain git forge takes repositories of any server, its credentials go to one.
    fn one_origin(&mut self, forge: &ForgeConfig, url: &At<String>, repo: &RepoUrl) -> Option<()> {
        let sends = !matches!(forge.auth, ForgeAuth::Anonymous)
            && matches!(repo.scheme(), Scheme::Https | Scheme::Http);
        if forge.kind.is_hosted() || !sends {
            return Some(());
        }
        let origin = self.origins.entry(forge.name.clone()).or_insert_with(|| repo.origin());
        if *origin == repo.origin() {
            return Some(());
        }
        let message = format!(
            "is not on {origin}, the server that the token of forge `{}` is for",
            forge.name
        );
        let hint = "fix the URL, or add a separate forge with its own token for the other server";
        self.report.error(&url.place, message, hint);
        None
    }

    fn named<'f>(
        &mut self,
        name: &At<String>,
        forges: &[&'f ForgeConfig],
    ) -> Option<&'f ForgeConfig> {
        if let Some(forge) = forges.iter().find(|forge| forge.name == name.value) {
            return Some(forge);
        }
        // One that has a problem is there all the same.
        let path = format!("forges.{}", name.value);
        if !self.report.is_bad(&path) && !self.report.any_bad_below(&format!("{path}.")) {
            let known: Vec<&str> = forges.iter().map(|forge| forge.name.as_str()).collect();
            let hint = match known[..] {
                [] => "add it under `forges`".to_owned(),
                _ => crate::read::nearest_hint(&name.value, &known),
            };
            self.report.error(&name.place, "no forge has this name", &hint);
        }
        None
    }

    fn fitting<'f>(
        &mut self,
        url: &At<String>,
        repo: &RepoUrl,
        forges: &[&'f ForgeConfig],
    ) -> Option<&'f ForgeConfig> {
        let fit = |exact: bool| -> Vec<&'f ForgeConfig> {
            let fits = |f: &&&ForgeConfig| f.host().is_some() == exact && fits(f, repo);
            forges.iter().filter(fits).copied().collect()
        };
        let exact = fit(true);
        let candidates = if exact.is_empty() { fit(false) } else { exact };
        match candidates[..] {
            [one] => return Some(one),
            [] if self.report.is_bad("forges") || self.a_forge_failed() => {}
            [] => {
                let hint = "add a forge for this host under `forges`, or set `forge`";
                self.report.error(&url.place, "no forge matches this URL's host", hint);
            }
            _ => {
                let names: Vec<&str> = candidates.iter().map(|f| f.name.as_str()).collect();
                let hint = format!("set `forge:` to one of {}", names.join(", "));
                self.report.error(&url.place, "several forges match this URL's host", &hint);
            }
        }
        None
    }

    fn a_forge_failed(&self) -> bool {
        self.report.any_bad_below("forges.")
    }
}

/// True if the repository is where the forge is.
fn fits(forge: &ForgeConfig, repo: &RepoUrl) -> bool {
    let Some(host) = forge.host() else { return true };
    let scheme = forge.url.as_ref().map_or("https", Url::scheme);
    let port = forge.url.as_ref().map_or(Some(443), Url::port_or_known_default);
    // ssh has a scheme and a port of its own.
    let same_server = repo.scheme() == Scheme::Ssh
        || (repo.url().scheme() == scheme && repo.url().port_or_known_default() == port);
    repo.host().unwrap_or_default() == host && same_server
}

pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}
