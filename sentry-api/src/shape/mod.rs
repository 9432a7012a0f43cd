//! The JSON that Sentry answers with: the command line's `-o json`, and the HTTP API.
//!
//! Every answer has `"version": 1`. Times are RFC 3339 in UTC, commit ids are full. Keys may be added; none is removed or
//! changes its meaning without another version. Clients must ignore keys they don't know and treat missing keys as
//! empty.

mod audit;
mod delivery;
mod documents;
mod event;
mod past;
mod request;
mod run;
mod status;
mod subject;
mod why;

pub use audit::{Act, Audit};
pub use delivery::{AskedFor, Cancelled, Commit, Counted, Delivery, History, Object, Show, Step};
pub use documents::{Document, Documents, RemoteDocument, Revision};
pub use event::Event;
pub use past::{Earlier, Pace, PaceDay, PaceRun};
pub use request::{
    Acknowledgement, ApproveRequest, EmptyRequest, RerunRequest, SuspendRequest,
    SuspensionAcknowledgement, TriggerRequest,
};
pub use run::{Run, RunTotals, Task};
pub use status::{
    AgentStatus, ApprovalStatus, BranchStatus, BudgetStatus, FleetStatus, ForgeStatus, Mark,
    MemberStatus, OutageStatus, PullStatus, QueueStatus, ReceiverStatus, ReportingStatus,
    SlotStatus, Status, SuspensionStatus, WatchStatus,
};
pub use subject::Subject;
pub use why::{Why, WhyAnswer};

/// For keys that are omitted when empty.
fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// For keys that are omitted when false.
pub(crate) fn is_false(flag: &bool) -> bool {
    !flag
}
