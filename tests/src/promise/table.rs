//! The table itself.

/// A promise: a sentence and the figure that its proof must show.
#[derive(Debug)]
pub struct Promise {
    /// Its number, also of its file in `tests/promises/`.
    pub number: u8,
    /// What is promised.
    pub text: &'static str,
    /// What the proof must show.
    pub figure: &'static str,
}

const fn promise(number: u8, text: &'static str, figure: &'static str) -> Promise {
    Promise { number, text, figure }
}

/// All promises, by number; a number that is not used stays free.
pub const PROMISES: &[Promise] = &[
    promise(
        1,
        "no lost head: kill -9 at any point of a cycle",
        "≥ 500 kill points, 0 lost, recovered ≤ 60 s",
    ),
    promise(2, "the cursor never moves before the work is done", "0 premature in ≥ 200 failures"),
    promise(3, "no duplicate run: kills, lost create responses, two agents racing", "exactly 1"),
    promise(4, "monotone coalescing", "100 pushes: ≤ 4 deliveries, last wins"),
    promise(
        5,
        "one delivery per target at a time",
        "200 concurrent triggers: max concurrency 1, 200 acknowledged",
    ),
    promise(6, "a trigger is durable", "same key × 50 + kills: 1 delivery"),
    promise(
        7,
        "a webhook is a hint: only configured repos are asked, at their configured forge",
        "10,000 forged: 0 foreign requests",
    ),
    promise(9, "force-push, rewind, unrelated history", "100 × 0 stuck"),
    promise(10, "branch deleted, re-created", "no action while gone, resumes ≤ 1 poll"),
    promise(11, "a bad answer is not a change", "100,000 fuzzed answers: 0 effects"),
    promise(
        12,
        "a renamed repo (301, same host) goes on; another host gets 0 token bytes",
        "100 %",
    ),
    promise(
        13,
        "rate limits: 429/403 with seconds, date, none, negative, huge Retry-After",
        "0 early requests, cap 1 h, manual trigger answered ≤ 1 s",
    ),
    promise(
        14,
        "budget: idle polls are conditional or batched; failing repos back off",
        "≥ 99.9 % not counted or batched; failing ≤ 1/8 of the normal rate",
    ),
    promise(
        15,
        "token refused for an hour, then rotated",
        "≤ 10 failures/h/host, recovers ≤ 1 poll",
    ),
    promise(16, "clock jumps (± 1 day, ± 10 years)", "no gap > 2 × interval"),
    promise(
        17,
        "links cut, delayed, reset, half-open",
        "every operation ends ≤ deadline + 1 s; all recover",
    ),
    promise(18, "no orphan processes", "1,000 hung children: 0 left, 0 zombies"),
    promise(19, "kubectl is bounded (silent, drip, 429)", "killed ≤ deadline + 2 s"),
    promise(20, "SIGTERM at any moment", "exit ≤ grace + 2 s, 1 and 3 hold"),
    promise(22, "disk: killed fetches leave nothing behind", "≤ one repo cap + 1 MiB after 1,000"),
    promise(23, "state is never torn", "kill at each syscall of a save: old or new"),
    promise(
        24,
        "corrupt state: quarantined with a clear message, never a panic, never duplicate runs",
        "every truncation + 10,000 bit flips",
    ),
    promise(25, "ENOSPC, EIO, read-only", "no advance, degraded health, recovers by itself"),
    promise(26, "two agents on one store", "the second refuses, says who holds it"),
    promise(27, "one bad of 20 documents, at each position", "0 writes"),
    promise(28, "partial apply then recovery", "status k/n, reaches n/n, 0 duplicates"),
    promise(
        29,
        "API server away 10 minutes, 100 pushes",
        "latest delivered ≤ 60 s after return, queue ≤ 1 per target",
    ),
    promise(30, "bulkhead: 1 poisoned watch of 50", "the others' p95 < 1.2 ×"),
    promise(
        31,
        "hostile repos (symlinks, submodules, hooks, odd modes, names, .gitattributes, bundle-uri…) ≥ 60",
        "0 files opened outside, 0 programs run",
    ),
    promise(
        32,
        "argument injection through refs, URLs, paths, namespaces",
        "10^6 fuzzed: 0 options reach a program",
    ),
    promise(
        34,
        "a token goes only to its own scheme+host+port",
        "redirects, rebinding, edited URL: 0 bytes",
    ),
    promise(
        35,
        "secrets nowhere: logs at TRACE, errors, argv, state, metrics, page, API; also URL-encoded and base64 forms",
        "10,000 error paths: 0 hits",
    ),
    promise(36, "what is checked is what is sent", "10^6 differential cases: sets equal"),
    promise(
        37,
        "YAML budget: 1 MiB a file, 5 MiB, 200 documents, 50,000 nodes, depth 64",
        "refused ≤ 250 ms, RSS + ≤ 64 MiB",
    ),
    promise(38, "repo cap", "10 GB repo: ≤ 256 MiB disk, ends ≤ deadline"),
    promise(
        39,
        "webhook endpoint: size cap before anything, HMAC before parsing, slow clients cut off, no secret = endpoint off",
        "10^7 fuzz: 0 panics, RSS + ≤ 8 MiB",
    ),
    promise(
        40,
        "page and API: XSS and ANSI strings, CSRF",
        "200 strings: 0 executions, 0 state changes",
    ),
    promise(42, "least privilege: the shipped Role is exactly what is used", "0 extra verbs"),
    promise(
        43,
        "health is honest: /livez fails when a loop misses 3 intervals; /readyz when state can't be written",
        "flips ≤ limit + 5 s",
    ),
    promise(
        52,
        "deciding which runs start: every bound (work, paths, patterns, bytes, time) ends in \"counts as changed\" or in an error, never in \"skip\"",
        "10,000 trees and changes over each bound, by A's pusher and by an honest big commit: 0 runs silently missing, 0 green",
    ),
    promise(
        53,
        "what a pusher of A chooses (branch, author, title, paths) never becomes program text: CEL, Tekton's `when`, templates, links, terminal, chat",
        "10,000 hostile values through every door: 0 change a decision, 0 links, 0 mentions, 0 control or direction characters",
    ),
    promise(
        56,
        "strangers hold nothing",
        "1,000 connections without a token on every route, complete, slow and half: /livez ≤ 1 s always, honest signed webhooks and \
         logins all served ≤ 2 s; guesses limited over all doors, counted, logged",
    ),
    promise(
        57,
        "what passes is waited for, what may pass is counted, what is definite is refused at once with its own sentence",
        "≥ 80 answers at check, at apply, while following, 10 minutes each; five of each column by real kubectl: 0 in the \
         wrong column",
    ),
    promise(
        58,
        "a cluster that was repaired needs no person",
        "quota freed, namespace back, role granted, CRD installed, conflict gone: delivered ≤ 11 minutes after",
    ),
    promise(
        59,
        "nothing says that it passed because nothing ran",
        "every way in which no run starts: its own state and cause in `why`, history, page, status text; a missing directory is an error",
    ),
    promise(
        60,
        "statuses: one for each watch, subject, event, commit, context",
        "2 and 3 subjects at one commit, per watch and per run, forge away in between, kills: each ends as its own runs did, the short context as the worst of them",
    ),
    promise(
        61,
        "YAML: equal to kubectl, or refused",
        "10^6 documents from a grammar of odd scalars, merges, tags, line separators, keys: 0 silent differences",
    ),
    promise(
        62,
        "a verdict is never lost",
        "kill after each call of a delivery, cluster away at the restart, newer head meanwhile: every created run is followed and judged",
    ),
    promise(
        63,
        "the state on disk is the one that is used: directory or file removed, replaced, moved, unreadable, under a running agent",
        "said within 10 s, /readyz fails, nothing is delivered from memory alone",
    ),
];
