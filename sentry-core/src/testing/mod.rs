//! What tests of the engine, and of other implementations of its ports, are made of.

pub mod sample;
pub mod store_contract;
