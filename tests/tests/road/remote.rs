//! The same answers from a laptop as in the pod: `--server` asks the API of a running agent.

use sentry_tests::sandbox::Output;
use sentry_tests::served::{READ, Served, TRIGGER};
use serde_json::Value;

/// A command with a token, from a directory without configuration or state.
fn ask(served: &Served, token: &str, args: &[&str]) -> Output {
    let token = served.road.sandbox.write("token", token).display().to_string();
    let mut all = args.to_vec();
    all.extend(["--server", &served.url, "--token-file", &token]);
    served.road.sandbox.sentry(all)
}

/// The words of an answer without the ages in it ("3s ago"): the clock goes on from one answer to the next.
fn ageless(answer: &Output) -> Vec<&str> {
    let words: Vec<&str> = answer.stdout.split_whitespace().collect();
    let is_age = |n: usize| words.get(n + 1).is_some_and(|next| next.starts_with("ago"));
    words.iter().enumerate().filter(|(n, _)| !is_age(*n)).map(|(_, word)| *word).collect()
}

#[test]
fn a_server_answers_as_the_state_itself_does() {
    let served = Served::with_tokens();
    let sha = served.road.push();
    served.road.until_settled(&sha);
    let id = served.road.json(&["history", "-o", "json"])["deliveries"][0]["id"].clone();
    let id = id.as_str().unwrap();
    for args in [
        &["history", "-o", "json"][..],
        &["show", id, "-o", "json"],
        &["why", &sha],
        &["why", &sha, "-o", "json"],
        &["history"],
    ] {
        let here = served.road.sandbox.sentry(args);
        let there = ask(&served, READ, args);
        assert_eq!((here.code, ageless(&here)), (there.code, ageless(&there)), "{args:?}");
    }
    let status = ask(&served, READ, &["status", "-o", "json"]);
    let status: Value = serde_json::from_str(&status.stdout).unwrap();
    assert_eq!(status["watches"][0]["branches"][0]["delivered"]["sha"], sha.as_str());
    assert_eq!(served.agent.term().code, Some(0));
}

#[test]
fn a_token_that_may_only_read_starts_nothing_and_the_other_one_does() {
    let served = Served::with_tokens();
    let refused = ask(&served, READ, &["trigger", "qa", "--branch", "main"]);
    assert_eq!(refused.code, Some(3), "{refused:?}");
    assert!(refused.stderr.contains("may only read"), "{refused:?}");
    let stranger = ask(&served, "another-token", &["status"]);
    assert_eq!(stranger.code, Some(3), "{stranger:?}");
    assert!(served.road.runs().is_empty());
    let asked = ask(&served, TRIGGER, &["trigger", "qa", "--branch", "main"]);
    assert_eq!(asked.code, Some(0), "{asked:?}");
    assert_eq!(served.road.runs().len(), 2);
    let log = served.agent.term();
    for text in [refused.stderr, stranger.stderr, asked.stdout, log.stderr] {
        assert!(!text.contains(READ) && !text.contains(TRIGGER), "{text}");
    }
}
