//! Hostile values wherever a text can stand in what the server answers: on the page, in the API, and in what the program
//! writes to a terminal of what a server told it.

use sentry_tests::promise::{cases, kept};
use sentry_tests::sandbox::Sandbox;
use sentry_tests::stage::{READ, Stage};

use super::{Hostile, raw};
use crate::p40_page_and_api::{ask, id, scene, session};

/// How many values stand in one answer.
const EACH: usize = 200;

/// What a terminal got, without colours of the kinds that the program's own words have.
pub(super) fn uncoloured(text: &str) -> String {
    let mut parts = text.split('\u{1b}');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let coloured = part.strip_prefix('[').and_then(|rest| rest.split_once('m'));
        match coloured.filter(|(codes, _)| is_ours(codes)) {
            Some((_, rest)) => out.push_str(rest),
            None => out.extend(["\u{1b}", part]),
        }
    }
    out
}

/// Plain, bold, dim and italic, and colours of the letters: never of what is behind them.
fn is_ours(codes: &str) -> bool {
    let one = |code: &str| code.parse().is_ok_and(|code: u8| code < 4 || (30..40).contains(&code));
    codes.strip_prefix("38;5;").map_or_else(|| one(codes), |code| code.parse::<u8>().is_ok())
}

/// The addresses of a page's links are its own, or those of the forge.
fn judge_page(page: &str) {
    assert_eq!(raw(page), None, "the page");
    for link in page.split("href=").skip(1) {
        let to = link.trim_start_matches(['"', '\'']);
        assert!(
            to.starts_with(['/', '#']) || to.starts_with("https://forge.example/"),
            "{}",
            &to[..80.min(to.len())]
        );
        assert!(!to.starts_with("//"), "{to}");
    }
}

#[test]
fn what_is_shown_of_hostile_values_moves_no_cursor_and_turns_no_line() {
    let mut hostile = Hostile(fastrand::Rng::with_seed(57));
    let stage = Stage::start(Vec::new());
    let mut sandbox = Sandbox::new();
    sandbox.write("read.token", READ);
    sandbox.env("SENTRY_SERVER", stage.at(""));
    sandbox.env("SENTRY_TOKEN_FILE", "read.token");
    let (cookie, _) = {
        stage.answers.play(scene(&["x".to_owned()]));
        session(&stage, READ)
    };
    let bearer = format!("Authorization: Bearer {READ}");
    let rounds = cases(10_000 / EACH, 1);
    let (mut pages, mut answers, mut outputs) = (0, 0, 0);
    for _ in 0..rounds {
        let values: Vec<String> = (0..EACH).map(|_| hostile.text()).collect();
        stage.answers.play(scene(&values));
        let some: Vec<_> = (0..5).map(|_| id(hostile.0.usize(0..EACH))).collect();
        let first = "/".to_owned();
        for path in some.iter().map(|id| format!("/deliveries/{id}")).chain([first]) {
            judge_page(&ask(&stage, "GET", &path, &[&cookie], "").body);
            pages += 1;
        }
        for path in ["status", "deliveries?limit=200"] {
            let body = ask(&stage, "GET", &format!("/api/v1/{path}"), &[&bearer], "").body;
            let told: serde_json::Value = serde_json::from_str(&body).unwrap();
            assert_eq!(raw(&body), None, "{path}");
            let list = told["watches"].as_array().or_else(|| told["deliveries"].as_array());
            let name =
                |n: usize| list.map(|all| all[n]["name"].as_str().or(all[n]["watch"].as_str()));
            assert!((0..EACH).all(|n| name(n) == Some(Some(values[n].as_str()))), "as it was said");
            answers += 1;
        }
        let mut asked = vec![vec!["status"], vec!["history", "-n", "200"]];
        asked.extend(some.iter().map(|id| vec!["show", id]));
        for args in asked {
            for format in ["table", "json"] {
                let more = ["-o", format, "--color", "always"];
                let output = sandbox.sentry([&args[..], &more].concat());
                assert_eq!(output.code, Some(0), "{args:?}: {}", output.stderr);
                assert_eq!(raw(&uncoloured(&output.stdout)), None, "{args:?}");
                outputs += 1;
            }
        }
    }
    let seen = format!(
        "{} values wherever a text stands, on {pages} pages, in {answers} answers and {outputs} outputs to a terminal: \
         0 links of theirs, 0 control or direction characters",
        rounds * EACH
    );
    kept(53, "page, API and terminal", &seen);
}
