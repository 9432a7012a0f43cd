//! A delivery's page in a browser: what a person has unfolded, scrolled and focused.

use sentry_tests::browser::Browser;
use sentry_tests::sandbox::eventually;
use sentry_tests::stage::{Stage, TRIGGER};

use crate::{log_in, scene};

#[test]
fn what_was_unfolded_and_scrolled_stays_so_when_the_page_renews_itself() {
    let stage = Stage::start(scene::places());
    stage.answers.play(scene::day());
    let browser = Browser::start();
    log_in(&browser, &stage.at(""), TRIGGER);
    browser.view(390, "light");
    browser.open(&stage.at(&scene::failed()));
    browser.wait_for("live");
    // The graph is reached and scrolled by keyboard alone.
    browser.script("document.getElementById('graph-1').focus()");
    assert_eq!(browser.script("return document.activeElement.id"), "graph-1");
    let place = "return document.getElementById('graph-1').scrollLeft";
    let first = browser.script(place);
    browser
        .script("document.getElementById('graph-1').onscrollend = () => { window.rests = true; }");
    browser.press("\u{e012}");
    eventually("the graph scrolled", || browser.script("return window.rests") == true);
    let scrolled = browser.script(place);
    assert!(scrolled.as_f64() < first.as_f64(), "{first} {scrolled}");
    browser.script("document.getElementById('tasks-1-list').open = true");
    browser.wait_for("after e2e-checkout, e2e-search");
    browser.script("window.first = document.getElementById('live-runs')");
    let mut later = scene::day();
    for show in &mut later.shows {
        for run in &mut show.delivery.runs {
            run.message = run.message.as_ref().map(|_| "told anew".to_owned());
        }
    }
    stage.answers.play(later);
    browser.script("document.dispatchEvent(new Event('visibilitychange'))");
    eventually("the new part", || browser.script("return !window.first.isConnected") == true);
    browser.wait_for("told anew");
    let open = "return document.getElementById('tasks-1-list').open";
    assert_eq!(browser.script(open), true, "it was folded again");
    assert_eq!(browser.script(place), scrolled, "it was scrolled back");
}

#[test]
fn without_a_script_every_task_is_told_in_a_list_that_unfolds_by_keyboard() {
    let stage = Stage::start(scene::places());
    stage.answers.play(scene::day());
    let browser = Browser::without_scripts();
    browser.open(&stage.at("/login"));
    browser.type_into("#token", TRIGGER);
    browser.click("main button");
    browser.wait_for("release/2.14");
    browser.open(&stage.at(&scene::failed()));
    browser.click("#tasks-1-list > summary");
    let shown = browser.text("#tasks-1-list");
    for told in ["clone", "when expressions are false", "never began", "at the end, in any case"] {
        assert!(shown.contains(told), "{told} is missing:\n{shown}");
    }
}

#[test]
fn of_a_drawing_that_is_wider_than_its_place_what_failed_is_seen_first() {
    let stage = Stage::start(scene::places());
    stage.answers.play(scene::day());
    let browser = Browser::start();
    log_in(&browser, &stage.at(""), TRIGGER);
    for width in [390, 1280] {
        browser.view(width, "light");
        browser.open(&stage.at(&scene::failed()));
        let seen = browser.script(
            "const [graph, node] = ['#graph-1', '#graph-1 .node.bad'].map((css) => \
             document.querySelector(css).getBoundingClientRect());\
             return node.left >= graph.left && node.right <= graph.right",
        );
        assert_eq!(seen, true, "at {width}");
    }
}
