//! Many equal processes, one state: which of them works for which part of it.
//!
//! A state is divided into [`Slot`]s. All watches of one namespace share a slot, so that what an engine assumes about a
//! namespace stays true: one apply at a time, one limit of active runs, one queue, one follower. A process runs an
//! [`Engine`](crate::engine::Engine) for each slot that it owns.
//!
//! Safety needs no clock: whoever takes a slot gets a new [`Term`], and each commit of a slot's state compares it. Leases,
//! measured by the state's own clock, only say when a slot may be taken from its owner.
//!
//! | module | what it holds |
//! |---|---|
//! | `slot` | the words: slots, terms, members |
//! | `table` | what a state tells of its members and slots, and the port to it |
//! | `decision` | pure: what a member does next, from such a table |
//! | `run` | a member at work |
//! | `lease` | how long what a member owns is certainly its own |
//! | `wire` | what members tell each other |

mod decision;
mod lease;
mod run;
mod slot;
mod table;
mod wire;

pub use decision::{Step, decide};
pub use lease::Lease;
pub use run::Fleet;
pub use slot::{MemberId, Slot, SlotSet, Term};
pub use table::{Holding, LEASE, Member, Peer, Slots, Table};
pub use wire::{Heard, Wire, Word};
