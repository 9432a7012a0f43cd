//! What an event changes on the first page, what it asks the server for, and what it leaves alone.

use sentry_api::words::BranchState::{self, Delivered, Delivering, Parked};
use sentry_tests::browser::Browser;
use sentry_tests::sandbox::eventually;
use sentry_tests::stage::{Stage, TRIGGER};
use serde_json::{Value, json};

use crate::{log_in, scene};

/// The page keeps its event stream where tests find it.
const KEPT: &str = "window.EventSource = class extends EventSource {\
                    constructor(address) { super(address); window.stream = this; } }";

struct Home {
    stage: Stage,
    browser: Browser,
}

impl Home {
    /// The first page of 20 branches, once it has asked for all it asks for by itself.
    fn open() -> Self {
        let stage = Stage::start(scene::places());
        stage.answers.play(scene::branches(&[]));
        let browser = Browser::start();
        let script = json!({ "source": KEPT });
        browser.protocol("Page.addScriptToEvaluateOnNewDocument", &script);
        log_in(&browser, &stage.at(""), TRIGGER);
        browser.view(1280, "light");
        let mut seen = Vec::new();
        eventually("the page and one look at it", || {
            seen.extend(stage.requests());
            let after = seen.iter().rposition(|request| request == "GET /events");
            after.is_some_and(|after| seen[after..].contains(&"GET /".to_owned()))
        });
        browser.wait_for("live");
        Self { stage, browser }
    }

    /// These branches stand so from now on, and this many events tell of each of them, all at once.
    fn tell(&self, stand: &[(usize, BranchState)], times: usize) {
        self.stage.answers.play(scene::branches(stand));
        let event = |(n, _): &(usize, BranchState)| json!({"kind": "delivery_step", "watch": "shop", "branch": format!("b{n:02}")});
        let events: Vec<Value> = (0..times).flat_map(|_| stand.iter().map(event)).collect();
        self.browser.script(&format!(
            "for (const event of {}) window.stream.dispatchEvent(\
             new MessageEvent('message', {{ data: JSON.stringify(event) }}))",
            json!(events)
        ));
    }

    /// The branches that stand in a list.
    fn listed(&self, list: &str) -> Vec<String> {
        let script = format!(
            "return [...document.querySelectorAll('#list-{list} > li')].map((one) => one.id.split('/')[1])"
        );
        let names = self.browser.script(&script);
        names.as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
    }

    /// What it asked for since this was asked last; icons, which it keeps, left out.
    fn requests(&self) -> Vec<String> {
        let mut requests = self.stage.requests();
        requests.retain(|request| !request.starts_with("GET /assets/"));
        requests
    }

    fn wait_for(&self, list: &str, wanted: &[&str]) {
        eventually(list, || self.listed(list) == wanted);
    }
}

#[test]
fn an_event_asks_for_its_own_line_and_leaves_every_other_one_as_it_is() {
    let home = Home::open();
    home.browser.script("window.lines = [...document.querySelectorAll('.line')]");
    home.tell(&[(3, Delivering)], 1);
    home.wait_for("open", &["b03"]);
    let lost = home.browser.script(
        "return window.lines.filter((one) => document.getElementById(one.id) !== one).map((one) => one.id)",
    );
    assert_eq!(lost, json!(["b-shop/b03"]), "of 20 lines other ones were made anew");
    assert_eq!(home.browser.script("return window.lines.length"), 20);
    assert_eq!(home.requests(), ["GET /fragments?watch=shop&branch=b03"]);
    let headline = home.browser.text("#headline");
    assert_eq!(headline, "1 branch is in progress", "what is summed up goes with it");
}

#[test]
fn a_burst_of_events_is_one_request_and_moves_lines_to_where_they_belong() {
    let home = Home::open();
    let of = |stand: &[(std::ops::Range<usize>, BranchState)]| -> Vec<(usize, BranchState)> {
        let one = |(these, state): &(std::ops::Range<usize>, BranchState)| {
            these.clone().map(|n| (n, *state)).collect::<Vec<_>>()
        };
        stand.iter().flat_map(one).collect()
    };
    home.tell(&of(&[(2..7, Delivering)]), 40);
    home.wait_for("open", &["b02", "b03", "b04", "b05", "b06"]);
    let five = "GET /fragments?watch=shop&branch=b02+b03+b04+b05+b06";
    assert_eq!(home.requests(), [five], "200 events");

    // Somebody's keyboard is at one that will move, and they read one that will not.
    home.browser
        .script("document.getElementById('b-shop/b15').scrollIntoView({ block: 'center' })");
    home.browser.script(
        "document.getElementById('b-shop/b04').querySelector('button').focus({ preventScroll: true })",
    );
    let place =
        "return Math.round(document.getElementById('b-shop/b15').getBoundingClientRect().top)";
    let (before, focused) = (home.browser.script(place), home.browser.focused());
    assert_eq!(focused, "Deliver now: b04 of watch shop");
    home.tell(&of(&[(2..5, Parked), (5..7, Delivered)]), 40);
    home.wait_for("bad", &["b02", "b03", "b04"]);
    assert!(
        !home.browser.text("main").contains("No branch matches"),
        "said of a list that is full"
    );
    home.wait_for("open", &[]);
    assert_eq!(home.listed("rest-shop")[..3], ["b05", "b06", "b00"], "the newest first");
    assert_eq!(home.requests(), [five]);
    assert_eq!(home.browser.focused(), focused, "the keyboard lost its place");
    eventually("what is read stays where it is", || home.browser.script(place) == before);
}

#[test]
fn events_that_never_stop_do_not_keep_the_page_from_changing() {
    let home = Home::open();
    home.stage.answers.play(scene::branches(&[(3, Delivering)]));
    home.browser.script(
        "const event = JSON.stringify({ kind: 'delivery_step', watch: 'shop', branch: 'b03' });\
         setInterval(() => window.stream.dispatchEvent(new MessageEvent('message', { data: event })), 20)",
    );
    home.wait_for("open", &["b03"]);
}
