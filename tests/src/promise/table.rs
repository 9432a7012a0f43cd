//! The table itself. Rows of proofs are written as docs/promises.md shows them.

use super::row::{Promise, promise, proof};

const PROGRAM: &str = "the program";
const CLIENTS: &str = "the clients";
const CLIENTS_HELD: &str = "the clients, simulated";
const SERVER: &str = "the server";
const CODE: &str = "the code";
const FAKES: &str = "the engine over fakes, simulated";
const WITH_CLIENTS: &str =
    "the engine with the clients of forges, over fakes of all else, simulated";

/// All promises, by number; a number that is not used stays free.
pub const PROMISES: &[Promise] = &[
    promise(
        1,
        "no lost head: kill -9 at any point of a cycle",
        "≥ 500 kill points, 0 lost, recovered ≤ 60 s",
        &[proof("", PROGRAM, "40 of 500 kills")],
        "sentry-core/tests/crash_points.rs::killed_at_every_point_of_the_cycle_twice_no_head_is_lost_and_no_run_is_made_twice",
    ),
    promise(
        2,
        "the cursor never moves before the work is done",
        "0 premature in ≥ 200 failures",
        &[proof("", FAKES, "all")],
        "sentry-core/tests/engine/delivering.rs::an_object_that_fails_stops_the_cursor_and_the_retry_completes_the_delivery",
    ),
    promise(
        3,
        "no duplicate run: kills, lost create responses, two agents racing",
        "exactly 1",
        &[
            proof("lost answers", PROGRAM, "8 of 200 deliveries by each deployer"),
            proof("racing agents", PROGRAM, "5 of 120 commits, natively half as many"),
        ],
        "sentry-deploy/tests/cluster/each/apply.rs::a_lost_answer_at_any_write_is_repaired_by_the_repeat_without_a_second_run",
    ),
    promise(
        4,
        "monotone coalescing",
        "100 pushes: ≤ 4 deliveries, last wins",
        &[proof("", FAKES, "all")],
        "sentry-core/tests/model/main.rs::whatever_happens_in_whatever_order_the_engine_keeps_what_the_model_promises",
    ),
    promise(
        5,
        "one delivery per target at a time",
        "200 concurrent triggers: max concurrency 1, 200 acknowledged",
        &[proof("over fakes", FAKES, "all"), proof("the program", PROGRAM, "8 of 200 requests")],
        "sentry-core/tests/model/main.rs::whatever_happens_in_whatever_order_the_engine_keeps_what_the_model_promises",
    ),
    promise(
        6,
        "a trigger is durable",
        "same key × 50 + kills: 1 delivery",
        &[
            proof("over fakes", FAKES, "all"),
            proof("the program", PROGRAM, "2 of 10 keys, each 10 of 50 times"),
        ],
        "sentry-core/src/testing/store_contract/inbox.rs::fifty_requests_at_once_with_one_key_are_one_trigger",
    ),
    promise(
        7,
        "a webhook is a hint: only configured repos are asked, at their configured forge",
        "10,000 forged: 0 foreign requests",
        &[proof("", PROGRAM, "300 of 10,000 webhooks")],
        "sentry-server/tests/server/webhooks.rs::a_hint_has_a_configured_repository_asked_now_and_no_other",
    ),
    promise(
        9,
        "force-push, rewind, unrelated history",
        "100 × 0 stuck",
        &[proof("", PROGRAM, "6 of 100 moves")],
        "sentry-core/tests/engine/delivering.rs::a_force_push_back_is_settled_without_a_second_run_of_that_commit",
    ),
    promise(
        10,
        "branch deleted, re-created",
        "no action while gone, resumes ≤ 1 poll",
        &[proof("over fakes", FAKES, "all"), proof("the program", PROGRAM, "all")],
        "sentry-core/src/change.rs::a_deleted_one_does_nothing_and_is_a_change_when_it_is_back_even_at_the_same_commit",
    ),
    promise(
        11,
        "a bad answer is not a change",
        "100,000 fuzzed answers: 0 effects",
        &[proof("", CLIENTS, "1,500 of 100,000 answers")],
        "sentry-forge/src/git/ls_refs.rs::every_cut_of_an_answer_is_an_error",
    ),
    promise(
        12,
        "a renamed repo (301, same host) goes on; another host gets 0 token bytes",
        "100 %",
        &[
            proof("another server", CLIENTS, "1 of 3 statuses"),
            proof("goes on", CLIENTS, "1 in 2 first questions, 1 of 3 statuses each"),
        ],
        "sentry-forge/tests/github.rs::a_redirect_to_another_host_gets_no_request_at_all",
    ),
    promise(
        13,
        "rate limits: 429/403 with seconds, date, none, negative, huge Retry-After",
        "0 early requests, cap 1 h, manual trigger answered ≤ 1 s",
        &[
            proof("by hand", PROGRAM, "all"),
            proof(
                "limits",
                WITH_CLIENTS,
                "each of 14 forms at one of 4 clients, 2 of 3 limits in a row, 3 of 8 where no time is named",
            ),
        ],
        "sentry-core/src/retry.rs::retry_after_is_never_early_and_never_over_an_hour",
    ),
    promise(
        14,
        "budget: idle polls are conditional or batched; failing repos back off",
        "≥ 99.9 % not counted or batched; failing ≤ 1/8 of the normal rate",
        &[
            proof("failing", WITH_CLIENTS, "1 in 3 clients, 4 of 12 hours"),
            proof("idle", WITH_CLIENTS, "2 of 12 repositories of each shape"),
        ],
        "sentry-core/tests/engine/delivering.rs::a_repository_that_fails_is_asked_at_most_an_eighth_as_often",
    ),
    promise(
        15,
        "token refused for an hour, then rotated",
        "≤ 10 failures/h/host, recovers ≤ 1 poll",
        &[proof("", WITH_CLIENTS, "4 of 16 ways, 1 of 4 hours each")],
        "sentry-forge/src/rate_limit.rs::a_token_refused_for_an_hour_is_tried_at_most_ten_times_and_a_new_one_at_once",
    ),
    promise(
        16,
        "clock jumps (± 1 day, ± 10 years)",
        "no gap > 2 × interval",
        &[proof("", FAKES, "all")],
        "sentry-core/tests/model/main.rs::whatever_happens_in_whatever_order_the_engine_keeps_what_the_model_promises",
    ),
    promise(
        17,
        "links cut, delayed, reset, half-open",
        "every operation ends ≤ deadline + 1 s; all recover",
        &[
            proof("HTTP", CLIENTS_HELD, "1 in 240 bytes, 1 in 7 when full"),
            proof("following", CLIENTS, "4 of 14 links"),
            proof("git", CLIENTS, "4 of 14 links, 2 of 4 clients"),
            proof("kubectl", CLIENTS, "4 of 14 links"),
        ],
        "sentry-forge/tests/git/faults.rs::a_git_that_never_ends_is_ended_when_the_callers_time_is_over",
    ),
    promise(
        18,
        "no orphan processes",
        "1,000 hung children: 0 left, 0 zombies",
        &[
            proof("the binary", PROGRAM, "4 of 50 runs"),
            proof("the process module", CODE, "80 of 1,000 children"),
        ],
        "sentry-process/src/tests.rs::a_hung_child_and_its_own_children_die_at_the_deadline",
    ),
    promise(
        19,
        "kubectl is bounded (silent, drip, 429)",
        "killed ≤ deadline + 2 s",
        &[proof("", PROGRAM, "1 of 10 rounds"), proof("natively", CLIENTS, "1 of 10 rounds")],
        "sentry-deploy/tests/cluster/kubectl/deadline.rs::a_kubectl_that_minds_no_timeout_is_ended_when_the_callers_time_is_over",
    ),
    promise(
        20,
        "SIGTERM at any moment",
        "exit ≤ grace + 2 s, 1 and 3 hold",
        &[
            proof("any moment", PROGRAM, "1 of all calls of each kind, 5 of 100 random times"),
            proof("while something hangs", PROGRAM, "all, the apply for 4 of 300 s"),
        ],
        "sentry-core/tests/engine/delivering.rs::a_soft_stop_lets_a_begun_apply_finish_and_a_hard_one_does_not_wait",
    ),
    promise(
        22,
        "disk: killed fetches leave nothing behind",
        "≤ one repo cap + 1 MiB after 1,000",
        &[proof("", PROGRAM, "12 of 1,000 kills, 3 of 100 within the process")],
        "sentry-process/src/workdir.rs::a_sweep_takes_what_killed_processes_left_at_any_moment_and_spares_the_rest",
    ),
    promise(
        23,
        "state is never torn",
        "kill at each syscall of a save: old or new",
        &[proof("", CODE, "12 of all calls of each step")],
        "sentry-core/src/testing/store_contract/archive.rs::a_reader_sees_all_of_a_commit_or_nothing_of_it",
    ),
    promise(
        24,
        "corrupt state: quarantined with a clear message, never a panic, never duplicate runs",
        "every truncation + 10,000 bit flips",
        &[
            proof("the binary", PROGRAM, "4 of 60 states"),
            proof("the engine", "the engine over fakes, with the real state", "60 of 2,000 states"),
            proof(
                "the store",
                CODE,
                "120 of 10,000 bits of the file and of the log, some hundred cuts",
            ),
        ],
        "sentry-store/tests/damage.rs::what_is_no_database_or_not_ours_is_moved_aside",
    ),
    promise(
        25,
        "ENOSPC, EIO, read-only",
        "no advance, degraded health, recovers by itself",
        &[
            proof("a real disk", PROGRAM, "2 of 20 times"),
            proof("a small disk", CODE, "300 of 10,000 writes, 3 of 100 rounds"),
            proof("failing calls", PROGRAM, "2 of 120 outages"),
        ],
        "sentry-server/tests/server/health.rs::a_state_that_cannot_be_written_is_alive_and_not_ready_and_comes_back_by_itself",
    ),
    promise(
        26,
        "two agents on one store",
        "the second refuses, says who holds it",
        &[proof("", PROGRAM, "3 of 100 rounds")],
        "sentry-core/src/testing/store_contract/journal.rs::a_claim_is_exclusive_and_its_holder_is_named",
    ),
    promise(
        27,
        "one bad of 20 documents, at each position",
        "0 writes",
        &[proof("", PROGRAM, "1 in 19 deliveries")],
        "sentry-core/tests/engine/delivering.rs::one_bad_document_among_twenty_writes_nothing_at_any_place",
    ),
    promise(
        28,
        "partial apply then recovery",
        "status k/n, reaches n/n, 0 duplicates",
        &[proof("", PROGRAM, "1 of 10 times each")],
        "tests/tests/road/delivery.rs::an_object_that_the_server_refuses_is_named_in_the_history_and_the_retry_completes_it",
    ),
    promise(
        29,
        "API server away 10 minutes, 100 pushes",
        "latest delivered ≤ 60 s after return, queue ≤ 1 per target",
        &[proof("", FAKES, "all")],
        "tests/tests/road/delivery.rs::outages_of_cluster_and_git_server_park_nothing_and_the_latest_head_arrives_after",
    ),
    promise(
        30,
        "bulkhead: 1 poisoned watch of 50",
        "the others' p95 < 1.2 ×",
        &[proof("", FAKES, "all")],
        "sentry-core/tests/engine/sharing.rs::a_watch_whose_applies_hang_leaves_half_of_the_places_to_the_others",
    ),
    promise(
        31,
        "hostile repos (symlinks, submodules, hooks, odd modes, names, .gitattributes, bundle-uri…) ≥ 60",
        "0 files opened outside, 0 programs run",
        &[proof("", PROGRAM, "8 of 157 repositories")],
        "tests/tests/road/hostile.rs::a_symlink_and_a_submodule_are_refused_by_name",
    ),
    promise(
        32,
        "argument injection through refs, URLs, paths, namespaces",
        "10^6 fuzzed: 0 options reach a program",
        &[
            proof("as built", CODE, "2,000 of 1,000,000"),
            proof("as started", PROGRAM, "20 of 1,000 configurations"),
        ],
        "sentry-forge/tests/git/main.rs::names_of_branches_never_become_options",
    ),
    promise(
        34,
        "a token goes only to its own scheme+host+port",
        "redirects, rebinding, edited URL: 0 bytes",
        &[
            proof("edited URLs", PROGRAM, "all"),
            proof("foreign repositories", CLIENTS, "all"),
            proof("rebinding", CLIENTS, "all"),
            proof("redirects", CLIENTS, "1 of 5 statuses, 1 of 5 questions each"),
        ],
        "sentry-forge/tests/github.rs::a_redirect_to_a_repository_elsewhere_or_with_another_number_is_refused",
    ),
    promise(
        35,
        "secrets nowhere: logs at TRACE, errors, argv, state, metrics, page, API; also URL-encoded and base64 forms",
        "10,000 error paths: 0 hits",
        &[
            proof("forges and git", CLIENTS, "150 of 4,000"),
            proof("kubectl", CLIENTS, "100 of 3,000"),
            proof("the configuration", CODE, "200 of 3,000"),
            proof("the program", PROGRAM, "3 of all deliveries asked for"),
        ],
        "tests/tests/road/delivery.rs::the_token_appears_in_no_log_state_or_answer_of_a_failing_session",
    ),
    promise(
        36,
        "what is checked is what is sent",
        "10^6 differential cases: sets equal",
        &[
            proof("by another reader", CODE, "4,000 of 1,000,000 files"),
            proof("by the real kubectl", CLIENTS, "400 of 20,000 objects"),
            proof("every field", CODE, "1,000 of 100,000 objects"),
        ],
        "sentry-core/src/manifest/tests/objects.rs::a_named_object_is_sent_with_marks_and_nothing_else_changed",
    ),
    promise(
        37,
        "YAML budget: 1 MiB a file, 5 MiB, 200 documents, 50,000 nodes, depth 64",
        "refused ≤ 250 ms, RSS + ≤ 64 MiB",
        &[proof("", CODE, "all, not optimised")],
        "sentry-core/src/manifest/tests/reading.rs::budgets_are_shared_by_all_files",
    ),
    promise(
        38,
        "repo cap",
        "10 GB repo: ≤ 256 MiB disk, ends ≤ deadline",
        &[proof("", PROGRAM, "1 of 10 rounds")],
        "sentry-forge/tests/git/main.rs::each_limit_ends_the_fetch_by_name_and_leaves_nothing",
    ),
    promise(
        39,
        "webhook endpoint: size cap before anything, HMAC before parsing, slow clients cut off, no secret = endpoint off",
        "10^7 fuzz: 0 panics, RSS + ≤ 8 MiB",
        &[
            proof("a stream", PROGRAM, "1 of 16 GiB"),
            proof("fuzzed bodies", PROGRAM, "500 of 1,000,000"),
            proof("slow clients", PROGRAM, "300 of 1,000"),
            proof("the reader", CODE, "20,000 of 10,000,000"),
        ],
        "sentry-server/tests/server/webhooks.rs::a_body_that_grows_without_end_or_never_comes_is_cut_off",
    ),
    promise(
        40,
        "page and API: XSS and ANSI strings, CSRF",
        "200 strings: 0 executions, 0 state changes",
        &[
            proof("CSRF", SERVER, "all"),
            proof("XSS and ANSI", SERVER, "8 of 200 strings on 4 pages each"),
            proof("strings in the API", SERVER, "all"),
        ],
        "sentry-server/src/page/guard.rs::only_a_page_of_this_server_sends_forms",
    ),
    promise(
        42,
        "least privilege: the shipped Role is exactly what is used",
        "0 extra verbs",
        &[
            proof("the Role", PROGRAM, "all"),
            proof("the rule for lent credentials", PROGRAM, "all"),
        ],
        "sentry-deploy/tests/cluster/each/role.rs::the_rights_that_are_asked_for_are_in_the_shipped_role",
    ),
    promise(
        43,
        "health is honest: /livez fails when a loop misses 3 intervals; /readyz when state can't be written",
        "flips ≤ limit + 5 s",
        &[
            proof("a full disk", PROGRAM, "1 of 50 times"),
            proof("a loop", "the server with the engine over fakes, simulated", "all"),
            proof("a read-only state", PROGRAM, "1 of 50 times"),
        ],
        "sentry-server/tests/server/health.rs::a_forge_that_never_answers_makes_the_loop_late_and_one_that_refuses_does_not",
    ),
    promise(
        44,
        "many processes share a state: one that is frozen anywhere, killed, or whose clock is set harms nothing",
        "3 processes, frozen around every call of a port, clocks ± 10 years, 10,000 stories: 0 lost, 0 doubled, nothing older over newer, last status = verdict",
        &[
            proof("each call", FAKES, "1 in 13 and 1 in 41 calls"),
            proof("stories", FAKES, "16 of 10,000 stories"),
        ],
        "sentry-core/src/fleet/decision/tests.rs::slots_have_one_owner_each_and_come_to_rest",
    ),
    promise(
        45,
        "three agents share a state in PostgreSQL: killed, frozen, or cut off from it, any of them is taken over from",
        "500 kill -9, 200 SIGSTOP of 1 s to 120 s, 200 cut links: taken over ≤ 20 s, 0 heads lost, 0 runs doubled, last status = verdict",
        &[
            proof("killed", PROGRAM, "1 of 500 kills"),
            proof("frozen", PROGRAM, "1 of 200 stops"),
            proof("cut off", PROGRAM, "1 of 200 links"),
        ],
        "tests/tests/road/replicas.rs::two_agents_deliver_each_head_once_and_one_takes_over_when_the_other_is_killed_or_ends",
    ),
    promise(
        46,
        "an owner that stood still while others took over writes nothing older over what is newer",
        "200 stops in the middle of deliveries: 0 named objects of an older head after those of a newer one",
        &[proof("", PROGRAM, "1 of 200 stops")],
        "tests/tests/road/replicas.rs::two_agents_deliver_each_head_once_and_one_takes_over_when_the_other_is_killed_or_ends",
    ),
    promise(
        47,
        "the database of several agents crashes, or is away for minutes: nothing that it acknowledged is lost",
        "50 crashes, away up to 10 min: 0 acknowledged writes lost, 0 heads lost, 0 runs doubled",
        &[proof("crashes", PROGRAM, "1 of 50 crashes")],
        "sentry-store/tests/contract/postgres.rs::a_server_that_crashed_and_came_back_has_what_was_committed_and_is_used_again",
    ),
    promise(
        48,
        "agents that share a state load a new configuration, one after the other",
        "50 times three in turn: no slot without an owner for more than 20 s, 0 heads lost, 0 runs doubled",
        &[proof("reloads", PROGRAM, "1 of 50 rounds")],
        "tests/tests/road/replicas.rs::a_new_configuration_is_taken_by_one_agent_after_the_other",
    ),
    promise(
        49,
        "agents come and go: work is divided anew, and what need not move stays",
        "50 times 1, 5 and 2 agents: equal parts in ≤ 5 min, ≤ 5 needless moves",
        &[proof("", PROGRAM, "1 of 50 rounds")],
        "sentry-core/src/fleet/decision/tests.rs::slots_have_one_owner_each_and_come_to_rest",
    ),
    promise(
        52,
        "deciding which runs start: every bound (work, paths, patterns, bytes, time) ends in \"counts as changed\" or in an error, never in \"skip\"",
        "10,000 trees and changes over each bound, by A's pusher and by an honest big commit: 0 runs silently missing, 0 green",
        &[
            proof("by the real program", PROGRAM, "2 of 6 commits"),
            proof("trees and changes", CODE, "120 of 10,000 trees"),
        ],
        "sentry-core/src/manifest/tests/patterns.rs::a_run_that_a_large_push_needs_is_never_left_out",
    ),
    promise(
        53,
        "what a pusher of A chooses (branch, author, title, paths) never becomes program text: CEL, Tekton's `when`, templates, links, terminal, chat",
        "10,000 hostile values through every door: 0 change a decision, 0 links, 0 mentions, 0 control or direction characters",
        &[
            proof("chats", CODE, "100 of 10,000 messages"),
            proof("decisions", CODE, "150 of 10,000 pushes"),
            proof("logs and commands", PROGRAM, "4 of 40 branches, 1 of 10 rounds of questions"),
            proof("page, API and terminal", SERVER, "1 of 100 rounds"),
            proof(
                "statuses and links",
                "the engine over fakes, simulated; then the clients",
                "2 of 200 worlds, 1 in 7 texts sent (1 in 397 of the full ones)",
            ),
            proof("when", CODE, "100 of 10,000 pushes"),
        ],
        "sentry-core/src/manifest/tests/values.rs::a_value_in_a_text_of_an_expression_is_a_part_of_that_text",
    ),
    promise(
        54,
        "children are bounded in memory as in disk, time and output",
        "commits, trees, tags, deltas of ≤ 10 MB that inflate to ≥ 1.5 GiB: no process over 256 MiB, parked after its \
         attempts, other watches' p95 < 1.2 ×",
        &[proof("", PROGRAM, "7 of 40 places and servers, objects of 288 of 1,536 MiB")],
        "sentry-forge/tests/git/sizes.rs::a_large_commit_and_a_large_tree_are_named_with_their_size_and_the_limit",
    ),
    promise(
        55,
        "a delivery that kills the process parks itself: the attempt is counted before it is made",
        "20 poisons × kill: parked after `max_retries`, the others go on",
        &[
            proof("the engine", FAKES, "20 of 20 poisons, 10 of 30 others, 2 of 24 hours"),
            proof("the binary", PROGRAM, "2 of 20 poisons"),
        ],
        "sentry-core/tests/engine/cutting_off.rs::what_cuts_off_all_its_attempts_is_parked_and_not_looked_at_by_itself",
    ),
    promise(
        56,
        "strangers hold nothing",
        "1,000 connections without a token on every route, complete, slow and half: /livez ≤ 1 s always, honest signed webhooks and \
         logins all served ≤ 2 s; guesses limited over all doors, counted, logged",
        &[
            proof("a crowd", PROGRAM, "400 of 1,000 connections, 20 of 200 rounds"),
            proof("guesses", PROGRAM, "500 of 20,000 guesses"),
        ],
        "sentry-server/tests/server/page.rs::guesses_are_refused_at_once_limited_over_all_doors_and_never_keep_a_right_token_out",
    ),
    promise(
        57,
        "what passes is waited for, what may pass is counted, what is definite is refused at once with its own sentence",
        "≥ 80 answers at check, at apply, while following, 10 minutes each; five of each column by real kubectl: 0 in the \
         wrong column",
        &[
            proof("told by a server", CLIENTS, "all"),
            proof(
                "told by kubectl",
                "the clients, with a kubectl that the test wrote; then the engine over fakes, simulated",
                "all, and 1 in 10 lived through",
            ),
        ],
        "sentry-deploy/src/kubectl/answer.rs::each_text_has_its_kind",
    ),
    promise(
        58,
        "a cluster that was repaired needs no person",
        "quota freed, namespace back, role granted, CRD installed, conflict gone: delivered ≤ 11 minutes after",
        &[proof("any time", FAKES, "all"), proof("really", PROGRAM, "2 of 5 kinds")],
        "sentry-core/tests/engine/looking.rs::once_the_cluster_takes_it_the_same_delivery_goes_through_and_nothing_runs_twice",
    ),
    promise(
        59,
        "nothing says that it passed because nothing ran",
        "every way in which no run starts: its own state and cause in `why`, history, page, status text; a missing directory is an error",
        &[
            proof("not carried out", FAKES, "all"),
            proof("ways", "the engine over fakes, simulated; then the server", "all"),
        ],
        "tests/tests/road/why.rs::no_run_matched_says_of_each_run_why",
    ),
    promise(
        60,
        "statuses: one for each watch, subject, event, commit, context",
        "2 and 3 subjects at one commit, per watch and per run, forge away in between, kills: each ends as its own runs did, the short context as the worst of them",
        &[
            proof("engine", FAKES, "24 of 1,000 stories"),
            proof(
                "forges",
                "the engine over fakes, simulated; then the clients",
                "3 of 40 stories",
            ),
        ],
        "sentry-core/tests/engine/reporting.rs::two_branches_at_one_commit_end_as_their_own_runs_did_and_the_short_line_as_the_worst",
    ),
    promise(
        61,
        "YAML: equal to kubectl, or refused",
        "10^6 documents from a grammar of odd scalars, merges, tags, line separators, keys: 0 silent differences",
        &[proof("", "the code, beside the real kubectl", "5,000 of 1,000,000 documents")],
        "sentry-core/src/manifest/tests/reading.rs::a_scalar_is_what_kubectl_reads",
    ),
    promise(
        62,
        "a verdict is never lost",
        "kill after each call of a delivery, cluster away at the restart, newer head meanwhile: every created run is followed and judged",
        &[
            proof("the binary and kubectl", PROGRAM, "2 of 20 kills"),
            proof("the engine", FAKES, "2 of 4 ends, 1 of 3 fates each"),
        ],
        "sentry-core/tests/engine/superseding.rs::a_delivery_is_judged_by_the_runs_it_started_whoever_takes_its_place",
    ),
    promise(
        63,
        "the state on disk is the one that is used: directory or file removed, replaced, moved, unreadable, under a running agent",
        "said within 10 s, /readyz fails, nothing is delivered from memory alone",
        &[
            proof("commands", PROGRAM, "all"),
            proof("gone for good", PROGRAM, "3 of 11 ways"),
            proof("moved and back", PROGRAM, "2 of 50 times"),
        ],
        "sentry-store/tests/displaced.rs::nothing_is_read_or_kept_once_the_files_of_a_state_are_not_in_their_place",
    ),
    promise(
        66,
        "what somebody cancels ends: at every moment of a delivery, over kills, with the cluster away",
        "cancelled once, told once, the verdict right, 0 runs left",
        &[proof("the engine", FAKES, "1 in 7 deaths, 1 in 3 calls")],
        "sentry-core/tests/engine/cancelling.rs::what_is_followed_is_cancelled_by_the_cluster_and_the_next_head_is_delivered",
    ),
];
