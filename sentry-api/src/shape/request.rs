//! What a person can request: the bodies of requests, and their acknowledgements.

use schemars::JsonSchema;
use sentry_core::clock::Timestamp;
use sentry_core::delivery::{Trigger, TriggerState};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::VERSION;
use crate::words::{TriggerStateKind, WATCH, Word};

/// What `trigger` requests: a delivery.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TriggerRequest {
    /// The watch; optional if there is only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = WATCH))]
    pub watch: Option<String>,
    /// The branch; optional if the watch names exactly one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// The full commit id; by default the branch's head.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend(
        "pattern" = "^([0-9a-fA-F]{40}|[0-9a-fA-F]{64})$",
        "not" = serde_json::json!({"pattern": "^0+$"}),
    ))]
    pub revision: Option<String>,
    /// Only runs for this event; `push` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub event: Option<String>,
    /// Only the run with this `name` or `generateName` in its document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub run: Option<String>,
}

/// What `approve` requests: the delivery of a fork's head.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApproveRequest {
    /// The full commit id of the head that was looked at. If it has another one by now, nothing is approved.
    #[schemars(extend(
        "pattern" = "^([0-9a-fA-F]{40}|[0-9a-fA-F]{64})$",
        "not" = serde_json::json!({"pattern": "^0+$"}),
    ))]
    pub revision: String,
    /// The branch that it was to be merged into; by default the one that it is to be merged into now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub base: Option<String>,
}

/// A request without parameters: the body of `retry` and `resume`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EmptyRequest {}

/// What `rerun` requests: new runs of an earlier delivery's commits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RerunRequest {
    /// Only what failed.
    #[serde(default)]
    pub failed: bool,
}

/// What `suspend` requests: a watch that starts nothing new.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SuspendRequest {
    /// The reason, in the person's own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// For how many seconds; by default until it is resumed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(deserialize_with = "whole")]
    #[schemars(range(min = 1, max = 31_622_400))]
    pub for_seconds: Option<u64>,
}

/// A whole number, also in the form `60.0`: JSON Schema takes both for an integer.
/// <https://json-schema.org/draft/2020-12/json-schema-core#section-6.3>
fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let Some(number) = Option::<serde_json::Number>::deserialize(deserializer)? else {
        return Ok(None);
    };
    // `{:.0}` writes a whole number without its point, however large.
    let written = number.as_f64().filter(|value| value.fract() == 0.0).map(|v| format!("{v:.0}"));
    let whole = number.as_u64().or_else(|| written?.parse().ok());
    whole
        .map(Some)
        .ok_or_else(|| D::Error::custom(format!("{number} is not a whole number of seconds")))
}

/// A stored trigger and its state: the acknowledgement of `trigger`, `retry` and `rerun`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Acknowledgement {
    /// [`VERSION`].
    pub version: u32,
    /// The trigger's id. If the idempotency key was used before, the id of the earlier trigger.
    pub trigger: String,
    /// The watch.
    pub watch: String,
    /// Its state.
    pub state: Word<TriggerStateKind>,
    /// The delivery it started, once there is one.
    pub delivery: Option<String>,
    /// Why it was rejected and what to do, if it was.
    pub reason: Option<String>,
}

impl From<&Trigger> for Acknowledgement {
    fn from(trigger: &Trigger) -> Self {
        let (delivery, reason) = match &trigger.state {
            TriggerState::Pending => (None, None),
            TriggerState::Taken(delivery) => (Some(delivery.to_string()), None),
            TriggerState::Rejected(why) => (None, Some(why.clone())),
        };
        let state = trigger.state.kind().into();
        let (id, watch) = (trigger.id.to_string(), trigger.watch.to_string());
        Self { version: VERSION, trigger: id, watch, state, delivery, reason }
    }
}

/// The acknowledgement of `suspend` and `resume`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SuspensionAcknowledgement {
    /// [`VERSION`].
    pub version: u32,
    /// The watch.
    pub watch: String,
    /// Whether it is suspended now.
    pub suspended: bool,
    /// Whether it was suspended before.
    pub was_suspended: bool,
    /// Until when it is; `null` is until it is resumed.
    pub until: Option<Timestamp>,
}
