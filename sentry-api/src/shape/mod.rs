//! The JSON that Sentry answers with: the command line's `-o json`, and the HTTP API.
//!
//! Every answer has `"version": 1`. Times are RFC 3339 in UTC, commits are whole. Keys may be added; none is removed or
//! changes its meaning without another version. A reader takes keys that it does not know for nothing, and keys that
//! are missing for empty.

mod delivery;
mod documents;
mod event;
mod request;
mod status;
mod subject;
mod why;

pub use delivery::{AskedFor, Delivery, History, Object, Run, RunTotals, Show, Step};
pub use documents::{Document, Documents, Revision};
pub use event::Event;
pub use request::{
    Acknowledgement, EmptyRequest, RerunRequest, SuspendRequest, SuspensionAcknowledgement,
    TriggerRequest,
};
pub use status::{
    AgentStatus, BranchStatus, BudgetStatus, ForgeStatus, Mark, OutageStatus, QueueStatus,
    ReceiverStatus, ReportingStatus, Status, SuspensionStatus, WatchStatus,
};
pub use subject::Subject;
pub use why::{Why, WhyAnswer};

/// For keys that are left out where there is nothing to say.
fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// For keys that are left out where they say no.
fn is_false(flag: &bool) -> bool {
    !flag
}
