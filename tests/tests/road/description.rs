//! The description of the HTTP API says what the API does: what is in docs, and what schemathesis finds when it asks the
//! running program whatever the description allows, and what it does not.

use std::path::{Path, PathBuf};
use std::process::Command;

use sentry_tests::browser::target;
use sentry_tests::served::{READ, Served, TRIGGER};

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// `scripts/setup` puts it there.
fn schemathesis() -> PathBuf {
    let program = target().join("tools/schemathesis/bin/schemathesis");
    assert!(program.exists(), "{} is missing: run scripts/setup", program.display());
    program
}

#[test]
fn the_description_in_docs_is_the_one_that_is_answered() {
    let road = sentry_tests::road::Road::new();
    let printed = road.sandbox.sentry(["schema", "--api"]);
    let kept = std::fs::read_to_string(repository().join("docs/openapi.json")).unwrap();
    let hint = "regenerate it: cargo run -p sentry-cli -- schema --api > docs/openapi.json";
    assert!(printed.stdout == kept, "{hint}");
}

/// A server with something to tell: a delivered head.
fn with_history() -> Served {
    let served = Served::with_tokens();
    let sha = served.road.push();
    served.road.until_settled(&sha);
    served
}

#[test]
fn whatever_is_asked_the_server_answers_as_the_description_says() {
    let served = with_history();
    let output = Command::new(schemathesis())
        .arg("run")
        .arg(format!("{}/api/v1/openapi.json", served.url))
        // A stream has no end to wait for.
        .args(["--exclude-path", "/events"])
        .args(["--header", &format!("Authorization: Bearer {TRIGGER}")])
        .args(["--checks", "all", "--seed", "1", "--no-color", "--max-examples", "20"])
        // How fast this machine is must not matter.
        .args(["--suppress-health-check", "too_slow", "--request-timeout", "60"])
        .current_dir(served.road.sandbox.work())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    let log = served.agent.term();
    assert_eq!(log.code, Some(0), "{log:?}");
    for token in [READ, TRIGGER] {
        assert!(!log.stderr.contains(token), "{}", log.stderr);
    }
}
