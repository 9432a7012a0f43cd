//! One file per promise of Sentry; `sentry_tests::promise` says how they run and what they leave.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail their test")]

mod forges;
mod p01_no_lost_head;
mod p12_renamed;
mod p27_one_bad_document;
mod p34_token_stays;
mod table;
