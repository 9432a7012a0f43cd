//! A configuration written as the long form, with every default spelled out and without any secret.

use sentry_core::pull::PullSelector;
use sentry_core::remote::RemoteRules;
use sentry_core::secret::SecretSource;
use sentry_core::watch::{
    AllowKinds, GitAuthSecret, ManifestsBranch, NamespacePolicy, Reading, Reporting,
    SubjectSelector, Watch,
};
use serde_json::{Value, json};

use crate::config::{
    Config, DeployerKind, ForgeAuth, ForgeConfig, GitClient, Polling, PostgresState,
    ReceiverConfig, ServerConfig, TokenConfig, TokenKind,
};
use crate::environment::is_name;
use crate::resolve::SERVER_TOKENS;
use crate::words::DeployerWord;

/// The long form of a configuration, as YAML. Tokens stand as the `${VAR}` they were written as, or as `[secret]`.
#[must_use]
pub fn to_long_form(config: &Config) -> String {
    let mut out = Lines::default();
    if let Some(dir) = &config.state_dir {
        out.put("state_dir", dir.display().to_string());
    }
    if let Some(postgres) = &config.postgres {
        out.nest("state", |out| out.nest("postgres", |out| write_postgres(out, postgres)));
    }
    out.put("log_level", config.log_level.as_str());
    out.put("max_parallel", config.max_parallel.get());
    write_server(&mut out, config);
    write_receivers(&mut out, config);
    out.nest("forges", |out| {
        for forge in &config.forges {
            out.nest(&forge.name, |out| write_forge(out, forge, config));
        }
    });
    out.nest("watches", |out| {
        for watch in &config.watches {
            out.item(|out| write_watch(out, watch, config));
        }
    });
    out.text
}

/// YAML in block style; values are written as JSON, which is YAML.
#[derive(Default)]
struct Lines {
    text: String,
    indent: usize,
    dash: bool,
}

impl Lines {
    fn key(&mut self, key: &str) {
        let plain = key.starts_with(|c: char| c.is_ascii_alphabetic())
            && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            && !["y", "n", "yes", "no", "on", "off", "true", "false", "null"].contains(&key);
        let pad = " ".repeat(self.indent.saturating_sub(if self.dash { 2 } else { 0 }));
        self.text.push_str(&pad);
        self.text.push_str(if std::mem::take(&mut self.dash) { "- " } else { "" });
        self.text.push_str(&if plain { key.to_owned() } else { json!(key).to_string() });
        self.text.push(':');
    }

    fn put(&mut self, key: &str, value: impl Into<Value>) {
        self.key(key);
        self.text.push_str(&format!(" {}\n", value.into()));
    }

    fn nest(&mut self, key: &str, inside: impl FnOnce(&mut Self)) {
        self.key(key);
        let (start, indent) = (self.text.len(), self.indent);
        self.text.push('\n');
        self.indent += 2;
        inside(self);
        self.indent = indent;
        if self.text.len() == start + 1 {
            self.text.insert_str(start, " {}");
        }
    }

    fn item(&mut self, inside: impl FnOnce(&mut Self)) {
        self.indent += 2;
        self.dash = true;
        inside(self);
        self.indent -= 2;
    }
}

fn write_postgres(out: &mut Lines, postgres: &PostgresState) {
    let PostgresState { url, ca_file, password_file } = postgres;
    out.put("url", escaped(url));
    for (key, file) in [("ca_file", ca_file), ("password_file", password_file)] {
        if let Some(file) = file {
            out.put(key, file.display().to_string());
        }
    }
}

fn write_server(out: &mut Lines, config: &Config) {
    let ServerConfig { listen, public_url, tokens } = &config.server;
    if listen.is_none() && public_url.is_none() && tokens.is_empty() {
        return;
    }
    out.nest("server", |out| {
        if let Some(address) = listen {
            out.put("listen", address.to_string());
        }
        if let Some(url) = public_url {
            out.put("public_url", escaped(url));
        }
        let (keys, named): (Vec<_>, Vec<_>) =
            tokens.iter().partition(|token| SERVER_TOKENS.contains(&token.name.as_str()));
        for token in keys {
            write_secret(out, "server", &token.name, Some(&token.source), config);
        }
        if !named.is_empty() {
            out.nest("tokens", |out| {
                named.iter().for_each(|token| write_token(out, token, config))
            });
        }
    });
}

fn write_token(out: &mut Lines, token: &TokenConfig, config: &Config) {
    out.item(|out| {
        out.put("name", token.name.as_str());
        let parent = format!("server.tokens.{}", token.name);
        write_secret(out, &parent, "token", Some(&token.source), config);
        out.put("may", json!([token.right.as_str()]));
    });
}

/// A secret as `key: ${VAR}`, or its file as `key_file: path`.
fn write_secret(
    out: &mut Lines,
    parent: &str,
    key: &str,
    source: Option<&SecretSource>,
    config: &Config,
) {
    match source {
        Some(SecretSource::Value(_)) => out.put(key, reference(config, &format!("{parent}.{key}"))),
        Some(SecretSource::File(file)) => {
            out.put(&format!("{key}_file"), file.display().to_string());
        }
        None => {}
    }
}

/// All receivers stand at the top: each watch names its own.
fn write_receivers(out: &mut Lines, config: &Config) {
    if config.receivers.is_empty() {
        return;
    }
    out.nest("notify", |out| {
        for receiver in &config.receivers {
            out.item(|out| write_receiver(out, receiver, config));
        }
    });
}

fn write_receiver(out: &mut Lines, receiver: &ReceiverConfig, config: &Config) {
    out.put("name", receiver.name.as_str());
    out.put("type", receiver.kind.as_str());
    let parent = format!("notify.{}", receiver.name);
    write_secret(out, &parent, "url", Some(&receiver.url), config);
    write_secret(out, &parent, "secret", receiver.secret.as_ref(), config);
    let mut subscriptions = config.watches.iter().flat_map(|watch| &watch.notify);
    if let Some(heard) = subscriptions.find(|s| s.receiver == receiver.name) {
        out.put("routes", heard.routes.iter().map(|r| r.as_str()).collect::<Vec<_>>());
        out.put("on", heard.on.iter().map(|on| on.as_str()).collect::<Vec<_>>());
    }
    if let Some(template) = &receiver.template {
        out.put("template", escaped(template));
    }
    if let Some(file) = &receiver.ca_file {
        out.put("ca_file", file.display().to_string());
    }
}

fn write_forge(out: &mut Lines, forge: &ForgeConfig, config: &Config) {
    let path = |path: &std::path::Path| path.display().to_string();
    out.put("type", forge.kind.as_str());
    if let Some(url) = &forge.url {
        out.put("url", url.as_str().trim_end_matches('/'));
    }
    let parent = format!("forges.{}", forge.name);
    match &forge.auth {
        ForgeAuth::Anonymous => {}
        ForgeAuth::Token(source) => write_secret(out, &parent, "token", Some(source), config),
        ForgeAuth::App { id, installation_id, private_key_file } => out.nest("app", |out| {
            out.put("id", *id);
            out.put("installation_id", *installation_id);
            out.put("private_key_file", path(private_key_file));
        }),
    }
    write_secret(out, &parent, "report_token", forge.report_token.as_ref(), config);
    write_secret(out, &parent, "webhook_secret", forge.webhook_secret.as_ref(), config);
    if forge.token_kind != TokenKind::Private {
        out.put("token_kind", forge.token_kind.as_str());
    }
    if let Some(username) = &forge.username {
        out.put("username", escaped(username));
    }
    if let Some(ssh) = &forge.ssh {
        out.nest("ssh", |out| {
            out.put("key_file", path(&ssh.key_file));
            out.put("known_hosts", path(&ssh.known_hosts));
        });
    }
    if let Some(proxy) = &forge.proxy {
        let shown = match &proxy.credentials {
            None => proxy.to_string(),
            Some(_) => reference(config, &format!("forges.{}.proxy", forge.name)),
        };
        out.put("proxy", shown);
    }
    if !forge.no_proxy.is_empty() {
        out.put("no_proxy", forge.no_proxy.clone());
    }
    if let Some(file) = &forge.ca_file {
        out.put("ca_file", path(file));
    }
    if forge.polling != Polling::Auto {
        out.put("polling", forge.polling.as_str());
    }
    if forge.git != GitClient::Within {
        out.put("git", forge.git.as_str());
    }
}

/// `${NAME}` if the value was written as one reference, else a mask: a default or text around it may be the secret.
fn reference(config: &Config, path: &str) -> String {
    let name = config.references.get(path).and_then(|written| {
        let inner = written.trim().strip_prefix("${")?.strip_suffix('}')?;
        let name = inner.split(":-").next()?;
        is_name(name).then_some(name)
    });
    name.map_or_else(|| "[secret]".to_owned(), |name| format!("${{{name}}}"))
}

/// `$${`, so that what was filled in is not filled again.
fn escaped(text: &str) -> String {
    text.replace("${", "$${")
}

fn write_pulls(out: &mut Lines, pulls: &PullSelector) {
    let PullSelector { target, skips_drafts, need, without, forks } = pulls;
    if let Some(target) = target {
        out.put("target", target.patterns().collect::<Vec<_>>());
    }
    out.put("drafts", if *skips_drafts { "skip" } else { "run" });
    out.put("forks", forks.as_str());
    if need.is_empty() && without.is_empty() {
        return;
    }
    out.nest("labels", |out| {
        for (key, labels) in [("need", need), ("without", without)] {
            if !labels.is_empty() {
                out.put(key, labels.iter().map(String::as_str).collect::<Vec<_>>());
            }
        }
    });
}

fn write_watch(out: &mut Lines, watch: &Watch, config: &Config) {
    out.put("name", watch.name.as_str());
    out.nest("source", |out| {
        out.put("forge", watch.source.forge.as_str());
        out.put("url", watch.source.repo.as_str());
        let SubjectSelector { branches, tags, pulls } = &watch.source.subjects;
        if let Some(branches) = branches {
            out.put("branches", branches.patterns().collect::<Vec<_>>());
        }
        match tags.as_ref().map(|tags| (tags, tags.range())) {
            None => {}
            Some((_, Some(range))) => out.nest("tags", |out| out.put("semver", range)),
            Some((tags, None)) => out.put("tags", tags.patterns().collect::<Vec<_>>()),
        }
        if let Some(pulls) = pulls {
            out.nest("pull_requests", |out| write_pulls(out, pulls));
        }
    });
    out.nest("manifests", |out| {
        out.put("forge", watch.manifests.forge.as_str());
        out.put("url", watch.manifests.repo.as_str());
        let name = |branch: &ManifestsBranch| match branch {
            ManifestsBranch::SourceBranch => "{source_branch}".to_owned(),
            ManifestsBranch::TargetBranch => "{target_branch}".to_owned(),
            ManifestsBranch::Named(name) => name.to_string(),
        };
        out.put("branch", watch.manifests.branches.iter().map(name).collect::<Vec<_>>());
        out.put("dir", watch.manifests.dir.as_str());
    });
    out.nest("cluster", |out| write_cluster(out, watch, config));
    if let AllowKinds::Listed(kinds) = &watch.allow_kinds {
        out.put("allow_kinds", kinds.iter().map(ToString::to_string).collect::<Vec<_>>());
    }
    out.put("refusals", watch.refusals.as_str());
    write_reading(out, &watch.reading);
    write_remote(out, &watch.remote);
    out.put("on_first_sight", watch.on_first_sight.as_str());
    out.put("watch_manifests", watch.watch_manifests);
    if !watch.variables.is_empty() {
        out.nest("variables", |out| {
            for (name, value) in &watch.variables {
                let path = format!("watches.{}.variables.{name}", watch.name);
                let written = config.references.get(&path);
                out.put(name, written.cloned().unwrap_or_else(|| escaped(value)));
            }
        });
    }
    out.put("polling_interval", watch.timing.polling_interval.as_secs());
    out.put("max_retries", watch.timing.max_retries);
    out.put("timeout", watch.timing.timeout.as_secs());
    if let Some(limit) = watch.timing.run_timeout {
        out.put("run_timeout", limit.as_secs());
    }
    out.put("max_active_runs", watch.timing.max_active_runs);
    write_reporting(out, watch, config);
    if !config.receivers.is_empty() {
        out.put("notify", watch.notify.iter().map(|s| s.receiver.as_str()).collect::<Vec<_>>());
    }
}

fn write_remote(out: &mut Lines, RemoteRules { tasks, hub, hosts }: &RemoteRules) {
    out.put("remote_tasks", tasks.as_str());
    if !hosts.is_empty() {
        out.put("remote_hosts", hosts.iter().map(String::as_str).collect::<Vec<_>>());
    }
    if let Some(hub) = hub {
        out.put("remote_hub", hub.as_str().trim_end_matches('/'));
    }
}

fn write_reading(out: &mut Lines, reading: &Reading) {
    match &reading.namespace_policy {
        NamespacePolicy::Refuse => out.put("namespace_policy", "refuse"),
        NamespacePolicy::Override => out.put("namespace_policy", "override"),
        NamespacePolicy::Listed(names) => {
            out.put("namespace_policy", names.iter().map(|n| n.as_str()).collect::<Vec<_>>());
        }
    }
    out.put("inline", reading.inline);
    out.put("allow_missing_refs", reading.allow_missing_refs);
    out.put("unannotated", reading.unannotated.as_str());
    out.put("unknown_fields", reading.unknown_fields.as_str());
    match &reading.git_auth_secret {
        GitAuthSecret::Unset => {}
        GitAuthSecret::Named(name) => out.put("git_auth_secret", name.as_str()),
        GitAuthSecret::PerRun => {
            out.nest("git_auth_secret", |out| out.put("per_run", true));
        }
    }
}

fn write_reporting(out: &mut Lines, watch: &Watch, config: &Config) {
    let Reporting { mode, detail, when_nothing_runs, context, link, dashboard } = &watch.reporting;
    out.put("report", mode.as_str());
    if let Some(detail) = detail {
        out.put("report_detail", detail.as_str());
    }
    out.put("when_nothing_runs", when_nothing_runs.as_str());
    let texts = [("report_context", context), ("report_link", link), ("dashboard_url", dashboard)];
    for (key, text) in texts {
        if let Some(text) = text {
            let written = config.references.get(&format!("watches.{}.{key}", watch.name));
            out.put(key, written.cloned().unwrap_or_else(|| escaped(text)));
        }
    }
}

fn write_cluster(out: &mut Lines, watch: &Watch, config: &Config) {
    if let Some(context) = &watch.cluster.context {
        out.put("context", context.as_str());
    }
    out.put("namespace", watch.cluster.namespace.as_str());
    out.put("force_conflicts", watch.force_conflicts.as_str());
    let deployer = config.deployers.iter().find(|d| d.name == watch.cluster.deployer);
    match deployer.map(|d| &d.kind) {
        Some(DeployerKind::Kubectl { path, kubeconfig }) => {
            out.put("deployer", DeployerWord::Kubectl.as_str());
            out.nest("kubectl", |out| {
                out.put("path", path.display().to_string());
                if let Some(kubeconfig) = kubeconfig {
                    out.put("kubeconfig", kubeconfig.display().to_string());
                }
            });
        }
        Some(DeployerKind::Native { kubeconfig }) => {
            out.put("deployer", DeployerWord::Native.as_str());
            if let Some(kubeconfig) = kubeconfig {
                out.nest("native", |out| out.put("kubeconfig", kubeconfig.display().to_string()));
            }
        }
        Some(DeployerKind::DryRun) => out.put("deployer", DeployerWord::DryRun.as_str()),
        None => out.put("deployer", watch.cluster.deployer.as_str()),
    }
}
