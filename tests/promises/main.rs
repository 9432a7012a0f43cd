//! One file per promise of Sentry; `sentry_tests::promise` says how they run and what they leave.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail their test")]

mod clients;
mod forges;
mod p01_no_lost_head;
mod p02_cursor_after_the_work;
mod p03_no_duplicate_run;
mod p04_monotone_coalescing;
mod p05_one_at_a_time;
mod p06_durable_triggers;
mod p09_moved_heads;
mod p10_deleted_and_back;
mod p11_bad_answers;
mod p12_renamed;
mod p16_clock_jumps;
mod p18_no_orphan_processes;
mod p19_kubectl_is_bounded;
mod p20_sigterm;
mod p22_disk;
mod p23_whole_or_absent;
mod p24_damaged_state;
mod p25_full_disk;
mod p26_one_agent;
mod p27_one_bad_document;
mod p28_partial_apply;
mod p29_cluster_away;
mod p30_bulkhead;
mod p31_hostile_repositories;
mod p32_arguments;
mod p34_token_stays;
mod p36_checked_is_sent;
mod p37_yaml_budget;
mod p38_repo_cap;
mod p40_page_and_api;
mod p42_least_privilege;
mod table;
mod world;
