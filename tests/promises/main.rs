//! One file per promise of Sentry; `sentry_tests::promise` says how they run and what they leave.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail their test")]

mod clients;
mod p01_no_lost_head;
mod p11_bad_answers;
mod p27_one_bad_document;
mod table;
