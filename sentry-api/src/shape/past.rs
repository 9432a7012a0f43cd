//! What a delivery or a run is compared with.

use schemars::JsonSchema;
use sentry_core::clock::Timestamp;
use serde::{Deserialize, Serialize};

/// An earlier delivery of the same branch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Earlier {
    /// Its id.
    pub delivery: String,
    /// The commit of A that it brought.
    pub revision: String,
}

/// How a watch's deliveries went: those that ended, apart from superseded ones, dry runs and those with nothing to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Pace {
    /// Since when: 30 days ago, or later where that is more than 1,000 deliveries.
    pub since: Timestamp,
    /// How many there were.
    pub deliveries: usize,
    /// How many of them failed or were parked.
    pub failed: usize,
    /// The same by day, the oldest first; days without a delivery are left out.
    pub days: Vec<PaceDay>,
    /// The runs that take longest, by document, the longest first, at most 5; of the newest 100 deliveries.
    pub slowest: Vec<PaceRun>,
}

/// The deliveries that were started on one day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PaceDay {
    /// Its first moment in UTC.
    pub day: Timestamp,
    /// How many there were.
    pub deliveries: usize,
    /// How many of them failed or were parked.
    pub failed: usize,
    /// How long half of them took at most, from start to end, in milliseconds.
    pub median_ms: u64,
}

/// The runs of one document that succeeded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PaceRun {
    /// Its name, without what is added to it on the cluster.
    pub name: String,
    /// The file, relative to B's directory.
    pub path: String,
    /// How many there were.
    pub runs: usize,
    /// How long half of them took at most, in milliseconds.
    pub median_ms: u64,
    /// The longest, in milliseconds.
    pub longest_ms: u64,
    /// The delivery with the longest.
    pub delivery: String,
}
