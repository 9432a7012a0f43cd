//! How answers look: tables in 80 and 120 columns, and whole; other formats; short ids.

use std::collections::BTreeSet;
use std::time::Duration;

use sentry_core::clock::{Clock as _, SystemClock, Timestamp};
use sentry_core::cursor::{Cursors, Mark};
use sentry_core::delivery::{Delivery, DeliveryState, RunState, Verdict};
use sentry_core::ids::DeliveryId;
use sentry_core::revision::Revision;
use sentry_core::store::Write;
use sentry_core::testing::sample;
use unicode_width::UnicodeWidthStr as _;

use crate::runs::delivery;
use crate::sandbox::Sandbox;

/// 90 cells each: the second one has half as many characters.
const LONG: [&str; 2] = [
    "feature/PAY-4711-invoices-are-sent-again-when-the-first-attempt-failed-in-the-night-of-a-1",
    "功能/发票在第一次发送失败后的夜里会再次自动发送给客户并记录每次尝试的结果以便质量部门检查x",
];

/// Long enough ago that a test's own time does not change the age.
fn ago(hours: u64) -> Timestamp {
    SystemClock.now() - Duration::from_secs(hours * 3600 + 1800)
}

/// A state with one delivery of each branch; the first one's second run failed.
fn kept(branches: &[&str]) -> Sandbox {
    let sandbox = Sandbox::new();
    let mut writes = vec![Write::Watch(sample::watch_state(1)), Write::Agent(sample::agent(1))];
    for (n, branch) in (1..).zip(branches) {
        let ends =
            [RunState::Succeeded, if n == 1 { RunState::Failed } else { RunState::Succeeded }];
        let state = if n == 1 { DeliveryState::Failed } else { DeliveryState::Succeeded };
        let verdict = if n == 1 { Verdict::Failure } else { Verdict::Success };
        let mark = Mark { sha: sample::sha(n), at: ago(3) };
        let subject = sample::subject(branch);
        let one = Delivery {
            id: sample::id(n),
            revision: Revision { subject: subject.clone(), sha: mark.sha.clone() },
            verdict: Some(verdict),
            started: ago(2),
            finished: Some(ago(2) + Duration::from_secs(90)),
            ..delivery(state, &ends.map(Some))
        };
        let seen = Cursors::first_seen(one.watch.clone(), subject, mark.clone());
        writes.push(Write::Cursors(Cursors { delivered: Some(mark), ..seen }));
        writes.push(Write::Delivery(Box::new(one)));
    }
    sandbox.keep(&writes);
    sandbox
}

fn at(sandbox: &Sandbox, columns: &str, args: &[&str]) -> String {
    let run = sandbox.run_in(&[("COLUMNS", columns)], args);
    assert_eq!(run.code, 0, "{args:?}: {run:?}");
    run.stdout
}

/// The table alone: what stands below it is no column.
fn table(text: &str) -> &str {
    text.split("\n\n").next().unwrap()
}

#[test]
fn long_branches_are_cut_in_the_middle_so_that_a_line_fits() {
    let sandbox = kept(&LONG);
    for columns in ["80", "120"] {
        let text = ["status", "history"].map(|command| at(&sandbox, columns, &[command]));
        for line in text.iter().flat_map(|text| table(text).lines()) {
            assert!(line.width() <= columns.parse().unwrap(), "{columns}: {line}");
        }
    }
    let tables = |columns| {
        ["status", "history"]
            .map(|command| table(&at(&sandbox, columns, &[command])).to_owned())
            .join("\n\n")
    };
    insta::assert_snapshot!(tables("80"), @r"
    WATCH  BRANCH                STATE      HEAD      AGE  RUNS                 NEXT
    app    feature/PA…ht-of-a-1  delivered  0a1b2c3d  3h   1 failed, 1 succee…  now
    app    功能/发票…部门检查x   delivered  0a1b2c3d  3h   2 succeeded          now

    DELIVERY  WATCH  BRANCH           COMMIT    STATE      AGE  TOOK  RUNS
    01m3250x  app    功能/发…门检查x  0a1b2c3d  succeeded  2h   1m    2 succeeded
    01m3250w  app    feature…-of-a-1  0a1b2c3d  failed     2h   1m    1 failed, 1 s…
    ");
    insta::assert_snapshot!(tables("120"), @r"
    WATCH  BRANCH                                                      STATE      HEAD      AGE  RUNS                   NEXT
    app    feature/PAY-4711-invoices-are…t-failed-in-the-night-of-a-1  delivered  0a1b2c3d  3h   1 failed, 1 succeeded  now
    app    功能/发票在第一次发送失败后的…尝试的结果以便质量部门检查x   delivered  0a1b2c3d  3h   2 succeeded            now

    DELIVERY  WATCH  BRANCH                                            COMMIT    STATE      AGE  TOOK  RUNS
    01m3250x  app    功能/发票在第一次发送失…的结果以便质量部门检查x   0a1b2c3d  succeeded  2h   1m    2 succeeded
    01m3250w  app    feature/PAY-4711-invoice…led-in-the-night-of-a-1  0a1b2c3d  failed     2h   1m    1 failed, 1 succeeded
    ");
}

#[test]
fn wide_and_what_goes_to_a_program_is_whole() {
    let sandbox = kept(&LONG);
    for text in [
        at(&sandbox, "80", &["status", "-o", "wide"]),
        at(&sandbox, "80", &["history", "-o", "wide"]),
        sandbox.ok(&["status"]),
        sandbox.ok(&["history"]),
    ] {
        assert!(LONG.iter().all(|branch| text.contains(branch)), "{text}");
    }
    let wide = at(&sandbox, "80", &["history", "-o", "wide"]);
    assert!(wide.contains(sample::id(1).as_str()), "{wide}");
}

#[test]
fn the_status_is_of_the_branches_that_are_asked_for() {
    let sandbox = kept(&["main", "release/1", "dev"]);
    for (args, wanted) in [
        (&["--branch", "dev"][..], &["app/dev"][..]),
        (&["--search", "lease"], &["app/release/1"]),
        (
            &["--search", "app", "--state", "delivered,parked"],
            &["app/dev", "app/main", "app/release/1"],
        ),
        (&["--state", "parked"], &[]),
    ] {
        let text = sandbox.ok(&[&["status", "-o", "name"][..], args].concat());
        let mut names: Vec<&str> = text.lines().collect();
        names.sort_unstable();
        assert_eq!(names, wanted, "{args:?}");
    }
    assert_eq!(sandbox.run(&["status", "--state", "nope"]).code, 2);
}

#[test]
fn every_answer_has_five_formats_that_tell_the_same() {
    let sandbox = kept(&LONG[..1]);
    sandbox.write(
        "t/a.yaml",
        "apiVersion: tekton.dev/v1\nkind: Task\nmetadata: {name: t}\nspec: {steps: []}\n",
    );
    let (id, sha) = (sample::id(1), sample::sha(1));
    for (args, name) in [
        (&["status"][..], format!("app/{}", LONG[0])),
        (&["history"], id.to_string()),
        (&["show", id.as_str()], id.to_string()),
        (&["lint", "t"], "task/t".to_owned()),
    ] {
        let with = |format: &str| sandbox.ok(&[args, &["-o", format]].concat());
        assert_eq!(with("name"), format!("{name}\n"), "{args:?}");
        let json: serde_json::Value = serde_json::from_str(&with("json")).unwrap();
        let yaml: serde_json::Value = serde_saphyr::from_str(&with("yaml")).unwrap();
        assert_eq!(json, yaml, "{args:?}");
        assert!(with("wide").len() >= with("table").len(), "{args:?}");
    }
    assert_eq!(sandbox.ok(&["why", sha.as_str(), "-o", "name"]), "");
}

#[test]
fn short_ids_are_as_long_as_it_takes_to_tell_them_from_all_others() {
    let sandbox = kept(&["main"]);
    let alike = |n: u128| DeliveryId::new(sample::time(5000), n << 60);
    // Not listed, as it is another watch's: an id that begins like it must not mean two deliveries.
    for (n, watch) in [(1, "app"), (2, "other")] {
        let one = Delivery {
            id: alike(n),
            watch: sample::watch(watch),
            ..delivery(DeliveryState::Succeeded, &[])
        };
        sandbox.keep(&[Write::Delivery(Box::new(one))]);
    }
    for args in [&["history", "app"][..], &["history"]] {
        let text = sandbox.ok(args);
        let ids: Vec<&str> =
            text.lines().skip(1).filter_map(|line| line.split(' ').next()).collect();
        let lengths: BTreeSet<usize> = ids.iter().map(|id| id.len()).collect();
        assert_eq!(lengths, BTreeSet::from([14]), "{text}");
        for id in ids {
            sandbox.ok(&["show", id]);
        }
    }
}
