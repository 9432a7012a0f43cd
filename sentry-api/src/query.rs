//! The questions, as the query strings of the HTTP API. An unknown key is a client error.

use crate::words::{BranchState, ClosedList, DeliveryState, WATCH};
use schemars::JsonSchema;
use sentry_core::clock::Timestamp;
use serde::{Deserialize, Serialize};

/// How many deliveries `history` returns by default.
pub const HISTORY_LIMIT: u32 = 20;
/// The most deliveries that `history` returns at a time.
pub const HISTORY_MOST: u32 = 1000;

/// A watch and one of its branches: `qa/release/1`.
const PLACE: &str = "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?/.+$";

/// Words of a closed list, with commas between them.
fn list_of<T: ClosedList>() -> String {
    let words = T::all().map(T::as_str).collect::<Vec<_>>().join("|");
    format!("^({words})(,({words}))*$")
}

/// What `status` can be asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StatusQuery {
    /// Only this watch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = WATCH))]
    pub watch: Option<String>,
    /// Only this branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// Only branches in one of these states, with commas between them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = list_of::<BranchState>()))]
    pub state: Option<String>,
    /// Only branches with this in their name or their watch's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub q: Option<String>,
    /// How many branches at most; all by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 4_294_967_295_u32))]
    pub limit: Option<u32>,
    /// Only branches after this one, in the order of watch and branch: the `next` of an earlier answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = PLACE))]
    pub after: Option<String>,
    /// Also how its deliveries of the last 30 days went; needs `watch`.
    #[serde(default, skip_serializing_if = "crate::shape::is_false")]
    pub pace: bool,
}

/// What `why` can be asked, beside the commit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WhyQuery {
    /// Only this watch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = WATCH))]
    pub watch: Option<String>,
}

/// What `history` can be asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HistoryQuery {
    /// Only this watch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = WATCH))]
    pub watch: Option<String>,
    /// Only this branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// Only deliveries in one of these states, with commas between them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = list_of::<DeliveryState>()))]
    pub state: Option<String>,
    /// Also the states in which something has failed: `failed`, `parked`.
    #[serde(default, skip_serializing_if = "crate::shape::is_false")]
    pub failed: bool,
    /// Only deliveries that were started at this time (RFC 3339) or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub since: Option<String>,
    /// Only deliveries that were started before this time (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub until: Option<String>,
    /// Only commits of this author, as the forge names them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub author: Option<String>,
    /// Only deliveries with this in the watch, the branch, the commit's title or author, or at the beginning of its id; at
    /// least 3 characters without a watch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub q: Option<String>,
    /// Only deliveries older than this one: the `next` of an earlier answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = "^[0-9a-hjkmnp-tv-z]{26}$"))]
    pub before: Option<String>,
    /// How many at most, up to [`HISTORY_MOST`]; [`HISTORY_LIMIT`] by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 1000))]
    pub limit: Option<u32>,
}

/// What `audit` can be asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuditQuery {
    /// Only what was asked of this watch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = WATCH))]
    pub watch: Option<String>,
    /// Only what was asked by this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub by: Option<String>,
    /// Only what was asked at this time or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Only what was asked before the line of this number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 18_446_744_073_709_551_615_u64))]
    pub before: Option<u64>,
    /// How many at most, up to [`HISTORY_MOST`]; [`HISTORY_LIMIT`] by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 1000))]
    pub limit: Option<u32>,
}

/// What `explain` can be asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExplainQuery {
    /// The watch; optional if there is only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = WATCH))]
    pub watch: Option<String>,
    /// The branch of A; optional if the watch names exactly one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// An event other than `push`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub event: Option<String>,
}
