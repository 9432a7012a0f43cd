//! Values of the file that are one word of a closed list.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use sentry_core::closed_list;
use sentry_core::closed_list::ClosedList;
use serde_json::json;

use crate::node::Node;
use crate::place::Place;
use crate::problem::Report;
use crate::read::{Read, nearest_hint};

/// One word of a closed list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word<T>(pub T);

impl<T: ClosedList> Read for Word<T> {
    fn read(node: &Node, place: &Place, report: &mut Report) -> Option<Self> {
        let word = String::read(node, place, report)?;
        let value = T::from_word(&word);
        if value.is_none() {
            let known: Vec<&str> = T::all().map(T::as_str).collect();
            let hint = nearest_hint(&word, &known);
            report.error(place, "is not one of the allowed values", &hint);
        }
        value.map(Self)
    }
}

impl<T: ClosedList> JsonSchema for Word<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        T::NAME.into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let word = |value: T| json!({"type": "string", "const": value.as_str(), "description": value.about()});
        json_schema!({"description": T::ABOUT, "oneOf": T::all().map(word).collect::<Vec<_>>()})
    }
}

closed_list! {
    /// What a receiver of notifications understands.
    pub enum ReceiverKind {
        /// CloudEvents 1.0 in JSON.
        Webhook = "webhook",
        /// An incoming webhook of Slack.
        Slack = "slack",
        /// An incoming webhook of Mattermost.
        Mattermost = "mattermost",
    }
}

closed_list! {
    /// What the holder of a token of the server may do.
    pub enum TokenRight {
        /// See everything.
        Read = "read",
        /// See everything, and request, retry, rerun and cancel deliveries, suspend and resume watches.
        Trigger = "trigger",
        /// All of that, and approve heads of forks.
        Approve = "approve",
    }
}

closed_list! {
    /// Whether draft pull requests run.
    pub enum Drafts, Run by default {
        /// As others do.
        Run = "run",
        /// Not until they are ready for review.
        Skip = "skip",
    }
}

closed_list! {
    /// What pull requests of forks may do.
    pub enum Forks, Approve by default {
        /// Nothing until somebody with the right `approve` approves the head.
        Approve = "approve",
        /// The same as those of A itself: whoever can open a pull request can run code.
        Run = "run",
        /// Nothing.
        Never = "never",
    }
}

closed_list! {
    /// How much is logged.
    pub enum LogLevel {
        /// Every call to a forge as well.
        Debug = "debug",
        /// Starts, changes, deliveries, verdicts.
        Info = "info",
        /// Retries and partial failures.
        Warn = "warn",
        /// What a person must act on.
        Error = "error",
    }
}

closed_list! {
    /// What kind of token a GitLab is given.
    pub enum TokenKind {
        /// A personal, project or group access token.
        Private = "private",
        /// An OAuth 2.0 access token.
        OAuth = "oauth",
        /// A CI job's token.
        Job = "job",
    }
}

closed_list! {
    /// How heads are asked for.
    pub enum Polling {
        /// Whatever costs less for the branches that are watched.
        Auto = "auto",
        /// The forge's API.
        Api = "api",
        /// The git protocol.
        Git = "git",
    }
}

closed_list! {
    /// What fetches from http(s) repositories.
    pub enum GitClient {
        /// Sentry itself.
        Within = "within",
        /// The git program.
        Program = "program",
    }
}

closed_list! {
    /// What carries out a plan.
    pub enum DeployerWord {
        /// kubectl.
        Kubectl = "kubectl",
        /// Sentry itself, over the cluster's API.
        Native = "native",
        /// Nothing is written; what would be is shown.
        DryRun = "dry-run",
    }
}
