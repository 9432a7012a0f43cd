//! Values of the file that are one word of a closed list.

use schemars::JsonSchema;

use crate::node::Node;
use crate::place::Place;
use crate::problem::Report;
use crate::read::{Read, nearest_hint};

/// Defines an enum of words and how it is read.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
        #[schemars(inline)]
        pub enum $name {
            $($(#[$vmeta])* #[schemars(rename = $word)] $variant,)*
        }

        impl $name {
            /// The word as the file spells it.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }

        impl Read for $name {
            fn read(node: &Node, place: &Place, report: &mut Report) -> Option<Self> {
                match String::read(node, place, report)?.as_str() {
                    $($word => Some(Self::$variant),)*
                    other => {
                        report.error(place, "is none of the words that may stand here", &nearest_hint(other, &[$($word),*]));
                        None
                    }
                }
            }
        }
    };
}

words! {
    /// How much is logged.
    LogLevel {
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

words! {
    /// What kind of place hosts a repository.
    ForgeType {
        /// github.com or GitHub Enterprise.
        GitHub = "github",
        /// gitlab.com or a self-managed GitLab.
        GitLab = "gitlab",
        /// Any git server, or a directory.
        Git = "git",
    }
}

words! {
    /// What kind of token a GitLab is given.
    TokenKind {
        /// A personal, project or group access token.
        Private = "private",
        /// An OAuth 2.0 access token.
        OAuth = "oauth",
        /// A CI job's token.
        Job = "job",
    }
}

words! {
    /// How heads are asked for.
    Polling {
        /// Whatever costs less for the branches that are watched.
        Auto = "auto",
        /// The forge's API.
        Api = "api",
        /// The git protocol.
        Git = "git",
    }
}

words! {
    /// What a refused document does.
    RefusalsWord {
        /// The delivery stops before the first write.
        Strict = "strict",
        /// It is reported and left out.
        Lenient = "lenient",
    }
}

words! {
    /// What a head that is seen for the first time means.
    FirstSight {
        /// The baseline: nothing is delivered until it moves.
        Record = "record",
        /// It is delivered.
        Deliver = "deliver",
    }
}

words! {
    /// What carries out a plan.
    DeployerWord {
        /// kubectl.
        Kubectl = "kubectl",
        /// Nothing is written; what would be is shown.
        DryRun = "dry-run",
    }
}

words! {
    /// What happens to a run without annotations.
    UnannotatedWord {
        /// It runs for every head.
        Run = "run",
        /// It is skipped.
        Skip = "skip",
    }
}

words! {
    /// What is done about fields that another field manager of the cluster holds.
    ForceWord {
        /// The object is refused.
        Never = "never",
        /// What `kubectl apply` and `kubectl create` left is taken over.
        First = "first",
        /// They are taken over, whoever holds them.
        Always = "always",
    }
}

words! {
    /// What happens to fields that Tekton does not have.
    UnknownFieldsWord {
        /// They are left out; what looks like a slip refuses the document.
        Drop = "drop",
        /// They refuse the document.
        Refuse = "refuse",
    }
}

words! {
    /// What is shown on A's commits.
    ReportWord {
        /// One status for the watch.
        PerWatch = "per_watch",
        /// One status for the watch and one for each run.
        PerRun = "per_run",
        /// Nothing.
        Off = "off",
    }
}

words! {
    /// What is shown on A's commit of a delivery that started no run.
    NothingRanWord {
        /// A neutral end; where the forge has none, success under a text that says that nothing ran.
        Neutral = "neutral",
        /// Nothing, unless the commit shows something of it already.
        Nothing = "none",
        /// An error.
        Error = "error",
    }
}

words! {
    /// What a receiver of notifications understands.
    ReceiverType {
        /// CloudEvents 1.0 in JSON.
        Webhook = "webhook",
        /// An incoming webhook of Slack.
        Slack = "slack",
        /// An incoming webhook of Mattermost.
        Mattermost = "mattermost",
    }
}

words! {
    /// Whom a notification is for.
    RouteWord {
        /// The commit's author: a run failed.
        TestsFailed = "tests_failed",
        /// Who is on call: nothing can be started, or runs were lost sight of.
        CouldNotStart = "could_not_start",
    }
}

words! {
    /// What a receiver wants to hear of.
    OnWord {
        /// What fails.
        Failure = "failure",
        /// That what was told as a failure is over.
        Recovery = "recovery",
        /// A branch's first success after any failure.
        FirstSuccess = "first_success",
        /// Everything, every success as well.
        All = "all",
    }
}
