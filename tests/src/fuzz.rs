//! What fuzzing tries: for each target a function that judges any bytes and panics if they show a defect.
//!
//! The folder `fuzz/` makes programs of them for libFuzzer (scripts/fuzz); a test replays their seeds.

mod argv;
mod cel;
mod config;
mod differential;
mod forge;
mod manifests;
mod names;
mod redaction;
mod refs;
mod webhook;

pub use argv::argv;
pub use cel::cel;
pub use config::config;
pub use differential::differential;
pub use forge::forge;
pub use manifests::manifests;
pub use names::names;
pub use redaction::redaction;
pub use refs::refs;
pub use webhook::webhook;

/// Judges one input.
pub type Target = fn(&[u8]);

/// All targets by their names, which are also the names of their folders in `fuzz/seeds`.
pub const TARGETS: &[(&str, Target)] = &[
    ("argv", argv as Target),
    ("cel", cel as Target),
    ("config", config as Target),
    ("differential", differential as Target),
    ("forge", forge as Target),
    ("manifests", manifests as Target),
    ("names", names as Target),
    ("redaction", redaction as Target),
    ("refs", refs as Target),
    ("webhook", webhook as Target),
];
