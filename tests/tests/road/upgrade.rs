//! A state that an earlier release left behind, opened by this one: what it told is told again, nothing that was acknowledged
//! is delivered again, and everything that was open goes on where it stood.
//!
//! Judged by what the API server, GitLab and the receivers are asked, and by what that release itself said.

use std::collections::{BTreeMap, BTreeSet};

use sentry_apiserver::Outcome;
use sentry_tests::kept::{FAILED, Kept, of_release};
use sentry_tests::sandbox::eventually;
use serde_json::Value;

/// The state of the last release whose deliveries were of branches alone.
const RELEASE: &str = "state-2026-11";
/// Decisions are kept for so long ([`sentry_core::engine::Options::keep`]).
const KEPT_DAYS: i64 = 90;

/// What the release said of its state.
struct Said(Value);

impl Said {
    fn read() -> Self {
        let text = std::fs::read(of_release(RELEASE).join("said.json")).unwrap();
        Self(serde_json::from_slice(&text).unwrap())
    }

    fn commits(&self) -> BTreeSet<String> {
        self.0["why"].as_object().unwrap().keys().cloned().collect()
    }

    fn deliveries(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.0["show"].as_object().unwrap().iter()
    }

    /// The newest delivery of a branch: its id, and its commit.
    fn newest(&self, watch: &str, branch: &str) -> (&str, &str) {
        let of_branch = |d: &&Value| d["watch"] == watch && d["branch"] == branch;
        let all = self.deliveries().map(|(_, show)| &show["delivery"]).filter(of_branch);
        let newest = all.max_by_key(|d| d["id"].as_str().unwrap()).unwrap();
        (newest["id"].as_str().unwrap(), newest["revision"].as_str().unwrap())
    }

    fn branch(&self, watch: &str, branch: &str) -> &Value {
        let mut watches = self.0["status"]["watches"].as_array().unwrap().iter();
        let watch = watches.find(|w| w["name"] == watch).unwrap();
        let mut branches = watch["branches"].as_array().unwrap().iter();
        branches.find(|b| b["branch"] == branch).unwrap()
    }

    /// True while no decision of it is too old to be kept by an agent that runs.
    fn is_young(&self) -> bool {
        use sentry_core::clock::{Clock as _, SystemClock, Timestamp};
        let started: Timestamp =
            self.0["status"]["agent"]["started"].as_str().unwrap().parse().unwrap();
        SystemClock.now().duration_since(started).as_hours() < KEPT_DAYS * 24
    }
}

/// Everything of `old` that `new` does not say: a key more is no difference.
#[track_caller]
fn says_again(old: &Value, new: &Value, what: &str) {
    fn differences(old: &Value, new: &Value, at: &str, found: &mut Vec<String>) {
        match (old, new) {
            (Value::Object(old), Value::Object(new)) => {
                for (key, value) in old {
                    let now = new.get(key).unwrap_or(&Value::Null);
                    differences(value, now, &format!("{at}.{key}"), found);
                }
            }
            (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
                for (n, (old, new)) in old.iter().zip(new).enumerate() {
                    differences(old, new, &format!("{at}[{n}]"), found);
                }
            }
            (old, new) if old == new => {}
            (old, new) => found.push(format!("{at}: {old} is {new} now")),
        }
    }
    let mut found = Vec::new();
    differences(old, new, what, &mut found);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn what_a_release_said_of_its_state_is_said_again_without_an_agent() {
    let (said, kept) = (Said::read(), Kept::open(&of_release(RELEASE)));
    says_again(&said.0, &kept.said(&said.commits()), "");
    assert_eq!(kept.cluster.requests().len(), 0);
    assert_eq!(kept.lab.http().log().requests() + kept.git.http().log().requests(), 0);
}

#[test]
fn a_state_of_a_release_goes_on_where_it_stood_with_nothing_delivered_again_and_nothing_lost() {
    let (said, kept) = (Said::read(), Kept::open(&of_release(RELEASE)));
    let mut agent = kept.sandbox.spawn(["watch"]);
    agent.wait_for_log("started");
    let made = go_on(&said, &kept);
    let head = kept.app.commit("release/2.0", &[("n", "better")], "a head that moves afterwards");
    kept.end(("app", &head), 2, "", Outcome::Succeeded);
    kept.until_ended(("app", &head), 1);
    eventually("it is told that its tests pass again", || kept.chat.told().len() == 2);
    eventually("ended runs of `unit` beyond 3 are deleted", || {
        kept.runs_of("app", "unit").len() <= 3
    });
    assert_eq!(agent.term().code, Some(0));

    let moved = BTreeMap::from([(("app".to_owned(), head.clone()), 2)]);
    assert_eq!(runs_made(&kept), made.into_iter().chain(moved).collect());
    nothing_is_sent_again(&said, &kept);
    newest_are_kept(&kept);
    assert_eq!(kept.on_call.told().len(), 1, "{:?}", kept.on_call.told());
    statuses_are_those_of_what_was_open(&said, &kept, &head);
    what_ended_is_as_it_was(&said, &kept);
}

/// Ends what the release left open, and waits for what follows; the runs that are to be made for it, by watch and commit.
fn go_on(said: &Said, kept: &Kept) -> BTreeMap<(String, String), usize> {
    let (_, waited) = said.newest("app", "release/3.0");
    let (_, grown) = said.newest("app", "feature/größe");
    let (_, main) = said.newest("app", "main");
    let (_, lib) = said.newest("queue", "main");
    kept.end(("app", waited), 2, "", Outcome::Succeeded);
    kept.until_ended(("app", waited), 1);
    // The trigger that nobody took: the two deliveries before were a change and a trigger with another key.
    kept.end(("app", main), 1, "nightly", Outcome::Succeeded);
    kept.until_ended(("app", main), 3);
    kept.end(("app", grown), 1, "unit", FAILED);
    kept.until_ended(("app", grown), 1);
    eventually("the chat is told", || kept.chat.told().len() == 1);
    eventually("who is on call is told", || kept.on_call.told().len() == 1);

    assert!(kept.active("queue", lib)[0].starts_with("smoke"), "the other one has no room yet");
    kept.end(("queue", lib), 1, "", Outcome::Succeeded);
    kept.end(("queue", lib), 1, "unit", Outcome::Succeeded);
    kept.until_ended(("queue", lib), 1);

    let held = kept.json(&["status", "held"]);
    assert_eq!(held["watches"][0]["suspension"]["reason"], "release freeze", "{held}");
    assert!(kept.deliveries().iter().all(|d| d["watch"] != "held"));
    assert_eq!(kept.sandbox.sentry(["resume", "held"]).code, Some(0));
    kept.end(("held", lib), 2, "", Outcome::Succeeded);
    kept.until_ended(("held", lib), 1);

    let all = [("app", waited, 2), ("app", main, 1), ("queue", lib, 1), ("held", lib, 2)];
    all.map(|(watch, sha, runs)| ((watch.to_owned(), sha.to_owned()), runs)).into()
}

fn label<'a>(object: &'a Value, name: &str) -> &'a str {
    object["metadata"]["labels"][format!("sentry-gitops.dev/{name}")].as_str().unwrap_or_default()
}

/// How many runs the API server was asked to make, by watch and commit.
fn runs_made(kept: &Kept) -> BTreeMap<(String, String), usize> {
    let mut made = BTreeMap::new();
    let requests = kept.cluster.requests();
    for request in requests.iter().filter(|r| r.is_write() && r.path.ends_with("/pipelineruns")) {
        let run = &request.body;
        let sha = run["metadata"]["annotations"]["sentry-gitops.dev/revision"].as_str().unwrap();
        *made.entry((label(run, "watch").to_owned(), sha.to_owned())).or_default() += 1;
    }
    made
}

/// No object of a delivery that had ended, or only followed its runs, is written.
fn nothing_is_sent_again(said: &Said, kept: &Kept) {
    let requests = kept.cluster.requests();
    let written: BTreeSet<&str> =
        requests.iter().filter(|r| r.is_write()).map(|r| label(&r.body, "delivery")).collect();
    let open = [said.newest("app", "release/3.0").0, said.newest("queue", "main").0];
    let again = |id: &&String| written.contains(id.as_str()) && !open.contains(&id.as_str());
    let again: Vec<_> = said.deliveries().map(|(id, _)| id).filter(again).collect();
    assert!(again.is_empty(), "{again:?}");
}

/// `max-keep-runs: 3`: what the release itself had put there is known to be there, and deleted in its turn.
fn newest_are_kept(kept: &Kept) {
    let newest: Vec<String> = kept.cluster.creates_of("PipelineRun");
    let newest = newest.into_iter().filter(|name| name.starts_with("unit-"));
    let newest: BTreeSet<String> = newest.collect();
    let kept = kept.runs_of("app", "unit");
    assert_eq!(kept.len(), 3, "{kept:?}");
    assert_eq!(kept.iter().filter(|name| newest.contains(*name)).count(), 2, "{kept:?}");
}

/// What GitLab had taken is not told again; the status that it had not taken is told, and how each ended.
fn statuses_are_those_of_what_was_open(said: &Said, kept: &Kept, head: &str) {
    let mut last = BTreeMap::new();
    for posted in kept.lab.statuses() {
        let text = |key: &str| posted.body[key].as_str().unwrap().to_owned();
        last.insert((posted.sha.clone(), text("name")), text("state"));
    }
    let of = |branch| said.newest("app", branch).1;
    let expected = [
        (of("feature/größe"), "sentry-gitops/app", "failed"),
        (of("release/3.0"), "sentry-gitops/app", "success"),
        (of("main"), "sentry-gitops/app (main, nightly)", "success"),
        // The worst of all that stands at the commit, so it told that the trigger's run went on.
        (of("main"), "sentry-gitops/app", "success"),
        (head, "sentry-gitops/app", "success"),
    ];
    let expected =
        expected.map(|(sha, name, state)| ((sha.to_owned(), name.to_owned()), state.to_owned()));
    assert_eq!(last, expected.into());
}

/// The history, the cursors and the reasons of what was over are unchanged; of what was open, what it began with.
fn what_ended_is_as_it_was(said: &Said, kept: &Kept) {
    let now = Said(kept.said(&said.commits()));
    for (id, show) in said.deliveries() {
        let (then, again) = (&show["delivery"], &now.0["show"][id]["delivery"]);
        let was_given_up = then["watch"] == "counted";
        if then["finished"].is_null() || was_given_up {
            for key in ["id", "watch", "branch", "trigger", "revision", "started"] {
                says_again(&then[key], &again[key], &format!("{id}.{key}"));
            }
            assert_eq!(again["state"] == "parked", was_given_up, "{again}");
        } else {
            says_again(show, &now.0["show"][id], id);
        }
    }
    for (watch, branch) in [("app", "release/1.0"), ("refused", "main")] {
        says_again(said.branch(watch, branch), now.branch(watch, branch), branch);
    }
    for (watch, branch) in
        [("app", "main"), ("app", "feature/größe"), ("counted", "main"), ("held", "main")]
    {
        let observed = |said: &Said| said.branch(watch, branch)["observed"].clone();
        assert_eq!(observed(&now), observed(said), "{branch} of {watch}");
    }
    if said.is_young() {
        for (sha, answers) in said.0["why"].as_object().unwrap() {
            let over = ["baseline", "skipped by marker", "superseded"];
            let over = |answer: &Value| over.iter().any(|reason| answer["reason"] == *reason);
            if answers.as_array().unwrap().iter().all(over) {
                says_again(answers, &now.0["why"][sha], sha);
            }
        }
    }
}
