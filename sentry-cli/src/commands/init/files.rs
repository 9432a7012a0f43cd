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
        text.push_str(&line("    ssh:", "no ssh-agent and no other key is used"));
        text.push_str("      key_file: ~/.ssh/id_ed25519\n      known_hosts: ~/.ssh/known_hosts\n");
    }
    if let Some(token) = &forge.token {
        let token = format!("    token: \"${{{token}}}\"");
        text.push_str(&line(&token, "from the environment, else from .env next to this file"));
    }
    text
}

/// A line with its comment in the column of all others.
fn line(text: &str, comment: &str) -> String {
    format!("{text:<30} # {comment}\n")
}

fn watch(answers: &Answers, forges: &[ForgeEntry]) -> String {
    let (source, manifests) = (&forges[0], &forges[forges.len() - 1].name);
    let interval = if answers.source.url.is_local() { "5s" } else { "1m" };
    let branches: Vec<String> = answers.branches.patterns().map(quoted).collect();
    let branches = format!("      branches: [{}]", branches.join(", "));
    let deployer = if answers.dry_run { "dry-run" } else { "native" };
    [
        "\nwatches:\n  - name: qa\n".to_owned(),
        line(&format!("    polling_interval: {interval}"), "at least 60 s for remote hosts"),
        line("    source:", "when a head of these branches moves ..."),
        format!("      forge: {}\n      url: {}\n", source.name, quoted(&answers.source.text)),
        line(&branches, "names or globs, such as \"release/*\""),
        line("    manifests:", "... what this directory holds ..."),
        format!("      forge: {manifests}\n      url: {}\n", quoted(&answers.manifests.text)),
        format!("      branch: {}\n", quoted(answers.manifests_branch.as_str())),
        format!("      dir: {}\n", quoted(answers.manifests_dir.as_str())),
        line("    cluster:", "... is run here"),
        line(
            &format!("      deployer: {deployer}"),
            "or kubectl, which runs that program; dry-run: only see what would happen",
        ),
        context(answers.context.as_deref()),
        format!("      namespace: {}\n", answers.namespace),
        line("    max_retries: 3", "failed attempts; outages do not count"),
        line("    timeout: 5m", "for one attempt"),
        report(source.kind),
        line("    on_first_sight: record", "or deliver: run the heads found at the first start"),
    ]
    .concat()
}

fn context(name: Option<&str>) -> String {
    match name {
        Some(name) => line(
            &format!("      context: {}", quoted(name)),
            "of the kubeconfig, whose current one may change",
        ),
        None => {
            line("      # context: NAME", "else the kubeconfig's current one, or the pod's account")
        }
    }
}

fn report(source: ForgeKind) -> String {
    if source.is_hosted() {
        line(
            "    report: per_watch",
            "statuses on A's commits; per_run: one per run as well; off: none",
        )
    } else {
        line("    report: off", "a plain git server has no statuses")
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
