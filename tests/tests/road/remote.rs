//! The same answers from a laptop as in the pod: `--server` asks the API of a running agent.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use sentry_tests::processes::children_of;
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

/// The words of an answer without the ages in it ("3s ago", or "3s" in a column): the clock goes on from one answer to the
/// next.
fn ageless(answer: &Output) -> Vec<&str> {
    let is_age = |word: &&str| {
        let number = word.trim_start_matches('(').strip_suffix(['s', 'm', 'h', 'd']);
        number.is_some_and(|text| text.parse::<u64>().is_ok())
    };
    answer.stdout.split_whitespace().filter(|word| !is_age(word)).collect()
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
    assert!(refused.stderr.contains("read-only"), "{refused:?}");
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

/// The status of an answer to a question that `explain` asks with the read token.
fn explain_at(address: &str) -> Option<u16> {
    let mut stream = TcpStream::connect(address).ok()?;
    let question = format!(
        "GET /api/v1/explain?watch=qa&branch=main HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {READ}\r\n\
         connection: close\r\n\r\n"
    );
    stream.write_all(question.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.split(' ').nth(1)?.parse().ok()
}

#[test]
fn however_many_are_asked_what_would_be_done_few_programs_run_for_it() {
    let served = Served::with_tokens();
    let address = served.url.trim_start_matches("http://").to_owned();
    let ask = |_| {
        let address = address.clone();
        std::thread::spawn(move || explain_at(&address))
    };
    let asking: Vec<_> = (0..120).map(ask).collect();
    let mut most = 0;
    while asking.iter().any(|one| !one.is_finished()) {
        most = most.max(children_of(served.agent.id()).len());
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    // Each asks one program at a time, and so do the agent's own polls.
    assert!(most <= 8, "{most} programs at once");
    let statuses: Vec<_> = asking.into_iter().map(|one| one.join().unwrap()).collect();
    assert!(statuses.contains(&Some(200)), "{statuses:?}");
    assert!(statuses.iter().all(|s| matches!(s, Some(200 | 429))), "{statuses:?}");
    assert_eq!(served.agent.term().code, Some(0));
}
