//! The Kubernetes API: its paths, its documents, and what deliveries do with its objects. Pure.

pub(crate) mod answer;
pub(crate) mod diff;
pub(crate) mod documents;
pub(crate) mod hidden;
pub(crate) mod object;
pub(crate) mod outcomes;
pub(crate) mod paths;
pub(crate) mod rights;
pub(crate) mod text;
