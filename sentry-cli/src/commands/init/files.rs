//! What the files of `sentry init` say.

use std::fmt::Write as _;

use sentry_config::ForgeKind;
use sentry_core::repo::Scheme;

use super::{Answers, ForgeEntry};

/// What most want later: to be taken out of its comment as it is.
const LATER: &str = r#"
# The page and the API, at http://127.0.0.1:8080. Log in with the token: openssl rand -hex 32
# server:
#   listen: 127.0.0.1:8080
#   trigger_token: "${PAGE_TOKEN}"

# Who is notified of how deliveries end. Try it with `sentry notify --test`.
# notify:
#   - name: qa-chat
#     type: slack                # or mattermost, or webhook for any server that takes CloudEvents
#     url: "${CHAT_URL}"         # its incoming webhook
#     routes: [tests_failed]     # for the author; could_not_start: for the person on call
"#;

/// A text as a double-quoted YAML scalar: JSON's strings are YAML's, too.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// sentry.yaml.
pub(super) fn yaml(answers: &Answers, forges: &[ForgeEntry]) -> String {
    let mut text = String::from(
        "# What Sentry watches and what it runs. `sentry validate` checks this file,\n\
         # `sentry schema` prints its JSON Schema, docs/config.md explains every key.\n\n\
         log_level: info                # debug, info, warn, error\n\n\
         forges:                        # where the repositories are, and the credentials to use\n",
    );
    for forge in forges {
        text.push_str(&forge_lines(forge));
    }
    text.push_str(&watch(answers, forges));
    text + LATER
}

fn forge_lines(forge: &ForgeEntry) -> String {
    let mut text = format!("  {}:\n    type: {}\n", forge.name, forge.kind.as_str());
    if let Some(url) = &forge.url {
        writeln!(text, "    url: {}", quoted(url)).ok();
    }
    if forge.scheme == Scheme::Ssh {
        text.push_str(
            "    ssh:                       # no ssh-agent and no other key is used\n\
             \x20     key_file: ~/.ssh/id_ed25519\n\
             \x20     known_hosts: ~/.ssh/known_hosts\n",
        );
    }
    if let Some(token) = &forge.token {
        writeln!(
            text,
            "    token: \"${{{token}}}\"   # from the environment, else from .env next to this file"
        )
        .ok();
    }
    text
}

fn watch(answers: &Answers, forges: &[ForgeEntry]) -> String {
    let (source, manifests) = (&forges[0], &forges[forges.len() - 1].name);
    let branches: Vec<String> = answers.branches.patterns().map(quoted).collect();
    format!(
        "\nwatches:\n\
         \x20 - name: qa\n\
         \x20   polling_interval: {interval}       # at least 60 s for remote hosts\n\
         \x20   source:                    # when a head of these branches moves ...\n\
         \x20     forge: {source_name}\n\
         \x20     url: {source_url}\n\
         \x20     branches: [{branches}]      # names or globs, such as \"release/*\"\n\
         \x20   manifests:                 # ... what this directory holds ...\n\
         \x20     forge: {manifests}\n\
         \x20     url: {manifests_url}\n\
         \x20     branch: {manifests_branch}\n\
         \x20     dir: {dir}\n\
         \x20   cluster:                   # ... is run here\n\
         \x20     deployer: {deployer}        # kubectl, or dry-run to only see what would happen\n\
         {context}\
         \x20     namespace: {namespace}\n\
         \x20   max_retries: 3             # failed attempts; outages do not count\n\
         \x20   timeout: 5m                # for one attempt\n\
         {report}\
         \x20   on_first_sight: record     # or deliver: run the heads found at the first start\n",
        interval = if answers.source.url.is_local() { "5s" } else { "1m" },
        source_name = source.name,
        source_url = quoted(&answers.source.text),
        branches = branches.join(", "),
        manifests_url = quoted(&answers.manifests.text),
        manifests_branch = quoted(answers.manifests_branch.as_str()),
        dir = quoted(answers.manifests_dir.as_str()),
        deployer = if answers.dry_run { "dry-run" } else { "kubectl" },
        context = context(answers.context.as_deref()),
        namespace = answers.namespace,
        report = report(source.kind),
    )
}

fn context(name: Option<&str>) -> String {
    name.map_or_else(
        || "      # context: NAME          # else the kubeconfig's current one, or the pod's account\n".into(),
        |name| {
            let name = quoted(name);
            format!("      context: {name}      # of the kubeconfig; its current one may change\n")
        },
    )
}

fn report(source: ForgeKind) -> &'static str {
    if source.is_hosted() {
        "    report: per_watch          # statuses on A's commits; per_run: one per run as well; off: none\n"
    } else {
        "    report: off                # a plain git server has no statuses\n"
    }
}

/// .env.example.
pub(super) fn dotenv(forges: &[ForgeEntry]) -> String {
    let mut text = String::from(
        "# Copy to .env and fill in; never commit .env. Variables set in the environment take \
         precedence.\n",
    );
    for forge in forges {
        let Some(token) = &forge.token else { continue };
        let rights = forge.kind.token_rights();
        writeln!(text, "\n# {}: {rights}\n{token}=", forge.origin).ok();
    }
    text + "\n# For the page and for notifications, which sentry.yaml has as comments.\n\
            # PAGE_TOKEN=\n# CHAT_URL=\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_plain_is_quoted() {
        assert_eq!(quoted("a\"b"), "\"a\\\"b\"");
    }
}
