//! What runs mean: their states, their ends and their tasks, read from their objects. Pure.

pub(crate) mod classes;
pub(crate) mod ends;
pub(crate) mod failure;
pub(crate) mod retiring;
pub(crate) mod runs;
pub(crate) mod tasks;
