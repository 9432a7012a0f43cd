//! One file per promise of Sentry; `sentry_tests::promise` says how they run and what they leave.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail their test")]

mod p01_no_lost_head;
mod p02_cursor_after_the_work;
mod p04_monotone_coalescing;
mod p05_one_at_a_time;
mod p06_durable_triggers;
mod p09_moved_heads;
mod p10_deleted_and_back;
mod p16_clock_jumps;
mod p27_one_bad_document;
mod p29_cluster_away;
mod p30_bulkhead;
mod table;
mod world;
