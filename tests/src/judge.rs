//! Judges that are not Sentry: what a program would be given, and what kubectl would make of its stdin.
//!
//! Proofs and fuzz targets share them. Each works on what [`sentry_process::stage`] saw.

pub mod argv;
pub mod canaries;
pub mod checked;
pub mod given;
pub mod json;
pub mod scene;
pub mod sent;
