//! One file per promise of Sentry; `sentry_tests::promise` says how they run and what they leave.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail their test")]

mod p01_no_lost_head;
mod p27_one_bad_document;
mod p32_arguments;
mod p36_checked_is_sent;
mod p37_yaml_budget;
mod table;
