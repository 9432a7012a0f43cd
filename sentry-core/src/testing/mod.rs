//! What tests of the engine, and of other implementations of its ports, are made of.

pub mod deployer_contract;
pub mod fakes;
pub mod sample;
pub mod store_contract;
