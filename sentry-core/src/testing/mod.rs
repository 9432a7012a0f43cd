//! What tests of the engine, and of other implementations of its ports, are made of.

pub mod fakes;
pub mod forge_contract;
pub mod sample;
pub mod store_contract;
