use serde_json::{Value, json};

use super::super::sample;
use super::*;

fn runs(running: usize, queued: usize) -> Value {
    json!({"total": running + queued, "running": running, "queued": queued, "succeeded": 0, "failed": 0})
}

#[test]
fn how_a_branch_stands_has_a_tone_and_a_word() {
    for (said, tone, word) in [
        (json!({"state": "delivered", "verdict": "failure"}), Tone::Bad, "runs failed"),
        (json!({"state": "delivered", "verdict": "error"}), Tone::Bad, "runs not followed"),
        (json!({"state": "delivered", "verdict": "success"}), Tone::Good, "succeeded"),
        (json!({"state": "delivered", "runs": runs(1, 0)}), Tone::Busy, "running"),
        (json!({"state": "delivered", "runs": runs(0, 1)}), Tone::Busy, "running"),
        (json!({"state": "delivered", "runs": runs(1, 1)}), Tone::Busy, "running"),
        (json!({"state": "delivered"}), Tone::Good, "delivered"),
        (
            json!({"state": "nothing_ran", "nothing_ran": "no file"}),
            Tone::Quiet,
            "nothing ran: no file",
        ),
        (json!({"state": "nothing_ran"}), Tone::Quiet, "nothing ran: nothing_ran"),
        (json!({"state": "pending"}), Tone::Wait, "waiting"),
        (json!({"state": "delivering"}), Tone::Busy, "delivering"),
        (json!({"state": "retrying"}), Tone::Wait, "retrying"),
        (json!({"state": "parked"}), Tone::Bad, "parked"),
        (json!({"state": "baseline"}), Tone::Quiet, "baseline"),
        (json!({"state": "gone"}), Tone::Quiet, "gone"),
    ] {
        assert_eq!(state(&sample::branch(said.clone()), None), State::new(tone, word), "{said}");
    }
    // What is in progress says how far it has come.
    let delivering = sample::branch(json!({"state": "delivering"}));
    for (of_delivery, word) in
        [("checking", "checking"), ("following", "running"), ("succeeded", "delivering")]
    {
        let open = sample::delivery(json!({"state": of_delivery}));
        assert_eq!(state(&delivering, Some(&open)), State::new(Tone::Busy, word));
    }
}

#[test]
fn a_branch_says_since_when_it_stands_so_and_what_comes_next() {
    let rerun = "the next commit, or a rerun of what failed";
    let changed = "retried when the branch, the manifests or the configuration change";
    let next_attempt = json!({"state": "parked", "next_attempt": "2026-01-01T00:15:00Z"});
    for (said, minutes, wanted) in [
        (json!({"state": "pending"}), 9, "waits for its turn"),
        (json!({"state": "retrying"}), 8, "next attempt"),
        (json!({"state": "delivering"}), 8, "its runs start"),
        (json!({"state": "delivering", "runs": runs(1, 0)}), 8, "the rest of its runs"),
        (json!({"state": "delivering", "runs": runs(0, 1)}), 8, "the rest of its runs"),
        (json!({"state": "delivering", "runs": runs(1, 1)}), 8, "the rest of its runs"),
        (next_attempt, 8, "checked again"),
        (json!({"state": "parked"}), 8, changed),
        (json!({"state": "parked", "attempted": null}), 9, changed),
        (json!({"state": "baseline"}), 9, "the next commit is delivered"),
        (json!({"state": "gone"}), 9, "nothing, until the branch is back"),
        (json!({"state": "delivered", "runs": runs(1, 0)}), 7, "its runs finish"),
        (json!({"state": "delivered"}), 7, "the next commit"),
        (json!({"state": "delivered", "verdict": "failure"}), 7, rerun),
        (json!({"state": "delivered", "verdict": "error"}), 7, rerun),
        (json!({"state": "delivered", "verdict": "success"}), 7, "the next commit"),
        (json!({"state": "nothing_ran"}), 9, "the next commit"),
    ] {
        let (status, branch) = (sample::watch(json!({})), sample::branch(said.clone()));
        let facts = Facts { status: &status, recent: &[], place: None, agent: true };
        let view = BranchView::new(&sample::reader(), facts, &branch);
        assert_eq!(view.next, wanted, "{said}");
        assert_eq!(view.since.said, format!("{minutes} min ago"), "{said}");
        assert_eq!(view.act.is_none(), said["state"] == "gone", "{said}");
    }
}

#[test]
fn what_can_not_start_now_says_what_it_waits_for() {
    let next = |suspended: bool, agent: bool, state: &str| {
        let status = sample::watch(json!({"suspended": suspended}));
        let facts = Facts { status: &status, recent: &[], place: None, agent };
        super::next(facts, &sample::branch(json!({"state": state})))
    };
    let agent = "nothing starts until an agent runs: `sentry watch`";
    assert_eq!(next(true, true, "pending"), "starts when the watch is resumed");
    assert_eq!(next(true, false, "pending"), "starts when the watch is resumed");
    assert_eq!(next(false, false, "pending"), agent);
    assert_eq!(next(false, false, "retrying"), agent);
    assert_eq!(next(false, false, "delivered"), "the next commit");
}

fn view(said: Value) -> WatchView {
    let status = sample::watch(said);
    let facts = Facts { status: &status, recent: &[], place: None, agent: true };
    WatchView::new(&sample::reader(), facts, true)
}

#[test]
fn the_headline_says_first_what_needs_somebody() {
    let of = |states: &[&str]| {
        let branches = states.iter().map(|state| sample::branch(json!({"state": state})));
        view(json!({"branches": branches.collect::<Vec<_>>()}))
    };
    let outage = json!({"since": "2026-01-01T00:00:00Z", "error": "no route"});
    for (watches, wanted) in [
        (vec![], "No watch is configured"),
        (vec![of(&[])], "Waiting for the first poll"),
        (vec![of(&[]), of(&["delivered", "baseline"])], "Everything is delivered"),
        (vec![view(json!({"unreachable": outage}))], "A forge does not answer"),
        (vec![view(json!({"idle_patterns": ["x"]}))], "Waiting for the first poll"),
        (vec![of(&["parked", "delivered"])], "1 branch needs you"),
        (vec![of(&["parked"]), of(&["parked"])], "2 branches need you"),
        (vec![of(&["pending", "delivered"])], "1 branch is in progress"),
        (vec![of(&["pending", "delivering"])], "2 branches are in progress"),
        (vec![of(&["parked", "pending"])], "1 branch needs you, 1 is in progress"),
        (
            vec![of(&["parked", "parked", "pending", "retrying"])],
            "2 branches need you, 2 are in progress",
        ),
    ] {
        assert_eq!(headline(&watches), wanted);
    }
    let order = of(&["baseline", "delivered", "pending", "parked"]);
    let order: Vec<_> = order.branches.iter().map(|branch| branch.state.tone).collect();
    assert_eq!(order, [Tone::Bad, Tone::Wait, Tone::Good, Tone::Quiet]);
}

#[test]
fn what_a_person_should_know_of_a_watch_stands_above_its_branches() {
    let all = view(json!({
        "unreachable": {"since": "2026-01-01T00:08:00Z", "error": "no route", "next": "2026-01-01T00:11:00Z"},
        "suspension": {"since": "2026-01-01T00:05:00Z", "reason": "a freeze", "until": "2026-01-01T01:10:00Z"},
        "idle_patterns": ["release/*", "v*"],
        "reporting": {"error": "forbidden", "given_up": true},
        "waiting_triggers": 2,
    }));
    let said = |moment: &Option<Moment>| moment.clone().map(|moment| moment.said);
    let told: Vec<_> = all
        .troubles
        .iter()
        .map(|t| {
            (
                t.state.tone,
                t.state.word.as_str(),
                t.text.clone().unwrap(),
                said(&t.since),
                said(&t.next),
            )
        })
        .collect();
    let (since, next) = (|text: &str| Some(text.to_owned()), |text: &str| Some(text.to_owned()));
    let wanted = [
        (
            Tone::Bad,
            "the forge does not answer",
            "no route".to_owned(),
            since("2 min ago"),
            next("in 1 min"),
        ),
        (Tone::Wait, "suspended", "a freeze".to_owned(), since("5 min ago"), next("in 1 h")),
        (Tone::Wait, "no branch matches", "release/*, v*".to_owned(), None, None),
        (Tone::Wait, "verdicts are not shown on commits", "forbidden".to_owned(), None, None),
    ];
    assert_eq!(told, wanted);
    assert_eq!(all.waiting.as_deref(), Some("2 requests not picked up yet"));
    let none = view(json!({}));
    assert!(none.troubles.is_empty() && none.waiting.is_none());
}

#[test]
fn a_watch_is_shown_with_its_place_and_the_page_with_its_queue() {
    let status = json!({
        "version": 1, "watches": [sample::watch(json!({"branches": [sample::branch(json!({}))]}))],
        "queue": [{"namespace": "qa", "runs": 1}, {"runs": 2}],
    });
    let status: Status = serde_json::from_value(status).unwrap();
    let mut other = sample::place();
    other.name = "other".to_owned();
    let frame = Frame::for_stranger("Watches", "1");
    let recent = [vec![sample::delivery(json!({}))]];
    let home = Home::new(frame, &sample::reader(), &status, &recent, &[other, sample::place()]);
    assert_eq!(
        home.queue,
        ["1 run waits for room in qa", "2 runs wait for room in an unknown namespace"]
    );
    let watch = &home.watches[0];
    let route = watch.route.as_ref().unwrap();
    assert_eq!(route.source.1.as_deref(), Some("https://github.com/product/app"));
    assert_eq!(watch.patterns, "main, release/*");
    assert!(watch.chart.is_some());
    let page = home.render().unwrap();
    assert!(page.contains("https://github.com/product/app/commit/1a2b3c4d5e6f"), "{page}");
}

#[test]
fn what_the_cluster_has_is_shown_where_it_is_another_commit() {
    let mark = json!({"sha": "ffffffffffff", "at": "2026-01-01T00:03:00Z"});
    for (said, shown) in [(json!({}), None), (json!({"delivered": mark}), Some("ffffffff"))] {
        let (status, branch) = (sample::watch(json!({})), sample::branch(said));
        let facts = Facts { status: &status, recent: &[], place: None, agent: true };
        let view = BranchView::new(&sample::reader(), facts, &branch);
        assert_eq!(view.delivered.map(|(commit, _)| commit.short).as_deref(), shown);
    }
}
