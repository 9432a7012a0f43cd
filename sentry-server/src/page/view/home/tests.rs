use serde_json::{Value, json};

use super::super::{Prose, sample};
use super::*;

fn status(watches: &[Value]) -> Status {
    serde_json::from_value(json!({"version": 1, "watches": watches})).unwrap()
}

fn watch(name: &str, branches: &[(&str, &str)]) -> Value {
    let branch =
        |(branch, state): &(&str, &str)| sample::branch(json!({"branch": branch, "state": state}));
    let branches: Vec<_> = branches.iter().map(branch).collect();
    json!({"name": name, "suspended": false, "branches": branches})
}

/// A watch with branches in these states.
fn of(states: &[&str]) -> Value {
    let names: Vec<_> = (0..states.len()).map(|n| format!("b{n}")).collect();
    let branches: Vec<_> = names.iter().map(String::as_str).zip(states.iter().copied()).collect();
    watch("qa", &branches)
}

fn home_of(status: &Status, query: &str) -> Home {
    let reader = sample::reader();
    let frame = Frame::for_reader("", "1", &reader);
    let facts = Facts { reader: &reader, status, places: &[sample::place()] };
    Home::new(frame, facts, Filter::of(query))
}

/// The branches of a list: `watch/branch`.
fn names(lines: &[BranchLine]) -> Vec<String> {
    let name = |line: &BranchLine| {
        let (_, watch, branch) = line.place();
        format!("{watch}/{branch}")
    };
    lines.iter().map(name).collect()
}

#[test]
fn the_headline_says_first_what_needs_somebody_and_title_and_icon_say_it_too() {
    let outage = json!({"since": "2026-01-01T00:00:00Z", "error": "no route"});
    let silent = json!({"name": "qa", "suspended": false, "branches": [], "unreachable": outage});
    let idle = json!({"name": "qa", "suspended": false, "branches": [], "idle_patterns": ["x"]});
    for (watches, wanted, worst) in [
        (vec![], "No watch is configured", Tone::Good),
        (vec![of(&[])], "Waiting for the first poll", Tone::Good),
        (vec![of(&[]), of(&["delivered", "baseline"])], "Everything is delivered", Tone::Good),
        (vec![silent], "A forge does not answer", Tone::Bad),
        (vec![idle], "Waiting for the first poll", Tone::Good),
        (vec![of(&["parked", "delivered"])], "1 branch needs you", Tone::Bad),
        (vec![of(&["parked"]), of(&["parked"])], "2 branches need you", Tone::Bad),
        (vec![of(&["pending", "delivered"])], "1 branch is in progress", Tone::Busy),
        (vec![of(&["pending", "delivering"])], "2 branches are in progress", Tone::Busy),
        (vec![of(&["parked", "pending"])], "1 branch needs you", Tone::Bad),
    ] {
        let home = home_of(&status(&watches), "");
        assert_eq!((home.headline.as_str(), home.frame.worst), (wanted, worst));
        assert_eq!(home.frame.title, wanted);
    }
    let sums = home_of(&status(&[of(&["parked", "pending"]), of(&["delivered"])]), "").sums;
    assert_eq!(sums, "Watches: 2 · branches: 3 · in progress: 1");
}

#[test]
fn every_branch_of_few_watches_is_shown_once_and_of_many_those_that_matter() {
    let states = ["parked", "delivered", "pending", "baseline"];
    let home = home_of(&status(&[of(&states)]), "");
    assert!(home.unfolded);
    let lists: Vec<_> = home.lists.iter().map(|list| names(&list.lines)).collect();
    assert_eq!(lists, [["qa/b0"], ["qa/b2"]]);
    assert_eq!(names(&home.watches[0].lines), ["qa/b1", "qa/b3"]);

    let many: Vec<_> =
        (0..80).map(|n| watch(&format!("w{n:02}"), &[("main", states[n % 4])])).collect();
    let home = home_of(&status(&many), "");
    assert!(!home.unfolded && home.watches.iter().all(|watch| watch.lines.is_empty()));
    assert_eq!(home.watches.len(), 80);
    assert_eq!(home.lists.iter().map(|list| list.lines.len()).collect::<Vec<_>>(), [20, 20]);
}

#[test]
fn a_list_is_paged_to_its_end_the_newest_first_and_each_branch_stands_on_one_page() {
    let at = |n: usize| format!("2026-01-01T00:{:02}:00Z", n % 7);
    let branch = |n: usize| {
        let mark = json!({"sha": "1a2b3c4d5e6f", "at": at(n)});
        sample::branch(json!({"branch": format!("b{n:03}"), "state": "parked", "attempted": mark}))
    };
    let branches: Vec<_> = (0..123).map(branch).collect();
    let status = status(&[json!({"name": "qa", "suspended": false, "branches": branches})]);
    let first = &home_of(&status, "").lists[0];
    let (address, text) = first.more.clone().unwrap();
    assert_eq!((first.lines.len(), text.as_str()), (50, "Show the rest (73)"));
    let (mut seen, mut next) = (names(&first.lines), Some(address));
    while let Some(address) = next {
        let page = home_of(&status, address.strip_prefix("/?").unwrap());
        assert!(page.watches.is_empty(), "a page of a list has the watches too");
        seen.extend(names(&page.lists[0].lines));
        next = page.lists[0].more.clone().map(|(address, _)| address);
    }
    let mut wanted: Vec<_> = (0..123).collect();
    wanted.sort_by_key(|n| (Reverse(at(*n)), *n));
    assert_eq!(seen, wanted.iter().map(|n| format!("qa/b{n:03}")).collect::<Vec<_>>());
}

#[test]
fn troubles_that_watches_share_are_told_once() {
    let silent = |name: &str, error: &str| {
        let outage = json!({"since": "2026-01-01T00:00:00Z", "error": error});
        json!({"name": name, "suspended": false, "branches": [], "unreachable": outage})
    };
    let idle = json!({"name": "x", "suspended": false, "branches": [], "idle_patterns": ["v*"]});
    let mut watches = vec![idle, silent("y", "refused")];
    watches.extend((0..5).map(|n| silent(&format!("w{n}"), "no route")));
    let told: Vec<_> = home_of(&status(&watches), "")
        .troubles
        .iter()
        .map(|shared| (shared.names(), shared.trouble.text.clone().unwrap()))
        .collect();
    let wanted = [("w0, w1, w2, +2", "no route"), ("y", "refused"), ("x", "v*")];
    assert_eq!(told, wanted.map(|(names, text)| (names.to_owned(), Prose::of(text))));
}

#[test]
fn the_page_tells_its_queue_links_commits_and_says_what_to_do_where_nothing_is_yet() {
    let mut all = status(&[watch("qa", &[("main", "delivered")]), watch("new", &[])]);
    all.queue =
        serde_json::from_value(json!([{"namespace": "qa", "runs": 1}, {"runs": 2}])).unwrap();
    let home = home_of(&all, "");
    let queue = ["1 run waits for room in qa", "2 runs wait for room in an unknown namespace"];
    assert_eq!(home.queue, queue);
    assert_eq!(home.watches[1].empty.as_deref(), Some("no branch was seen yet"));
    let page = home.render().unwrap();
    assert!(page.contains("https://github.com/product/app/commit/1a2b3c4d5e6f"), "{page}");
    assert!(page.contains("product/app → qa/tests"), "{page}");
    let empty = home_of(&status(&[watch("qa", &[])]), "");
    let text = "No branch was seen yet; looking for main, release/*.";
    assert_eq!(empty.watches[0].empty.as_deref(), Some(text));
    let none = home_of(&status(&[]), "").render().unwrap();
    assert!(none.contains("The configuration has no watch."), "{none}");
}

#[test]
fn a_fragment_has_the_lines_that_were_asked_for_and_the_watchs_own() {
    let reader = sample::reader();
    let status = status(&[of(&["parked", "pending", "delivered"])]);
    let facts = Facts { reader: &reader, status: &status, places: &[] };
    let fragments = Fragments::new(facts, &["b0", "b2", "other"]).unwrap();
    assert_eq!(names(&fragments.lines), ["qa/b0", "qa/b2"]);
    assert_eq!(fragments.watch.counts, Counts { bad: 1, open: 1, all: 3 });
    let text = fragments.render().unwrap();
    for part in ["id=\"w-qa\"", "id=\"b-qa/b0\"", "data-list=\"bad\"", "data-counts=\"1 1 3\""] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let none = serde_json::from_value(json!({"version": 1, "watches": []})).unwrap();
    assert!(Fragments::new(Facts { status: &none, ..facts }, &[]).is_none());
}
