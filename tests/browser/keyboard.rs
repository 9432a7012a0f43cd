//! By keyboard alone, and through the pages of a long history.

use std::sync::Arc;

use sentry_api::Local;
use sentry_core::testing::sample;
use sentry_store::SqliteStore;
use sentry_tests::browser::Browser;
use sentry_tests::large::{Size, branch_name, watch_name};
use sentry_tests::sandbox::eventually;
use sentry_tests::stage::{Stage, TRIGGER};

use crate::{log_in, scene};

const TAB: &str = "\u{e004}";
const ENTER: &str = "\u{e007}";

/// One watch of 20 branches with 300 deliveries each, in a real state.
const LONG: Size = Size { watches: 1, branches: 20, deliveries: 20 * 300, objects: 3 };
/// So many elements has a page at most.
const MOST: i64 = 3_000;

/// Tab after Tab until something with this label has the focus.
#[track_caller]
fn tab_to(browser: &Browser, label: &str) {
    eventually(label, || {
        browser.press(TAB);
        browser.focused().contains(label)
    });
}

#[test]
fn a_slash_leads_to_the_search_and_the_keyboard_alone_to_a_delivery_and_back() {
    let stage = Stage::start(scene::places());
    stage.answers.play(scene::day());
    let browser = Browser::start();
    log_in(&browser, &stage.at(""), TRIGGER);
    browser.wait_for("live");
    browser.press("/");
    assert_eq!(browser.script("return document.activeElement.id"), "q");
    browser.press(&format!("2.14{ENTER}"));
    browser.wait_for("1 branch found");
    assert_eq!(browser.url(), stage.at("/?q=2.14&state=&watch=&branch=&author=&commit="));
    // In a field a slash is a slash.
    browser.press(&format!("/{TAB}"));
    browser.press("\u{e008}");
    tab_to(&browser, "shop release/2.14");
    browser.press(ENTER);
    browser.wait_for("2 of 5 runs failed");
    assert_eq!(browser.url(), stage.at(&scene::failed()));
    tab_to(&browser, "All watches");
    browser.press(ENTER);
    browser.wait_for("2 branches need you");
    assert_eq!(browser.url(), stage.at("/"));
}

/// A server over a state with a long history.
struct Long {
    stage: Stage,
    _dir: tempfile::TempDir,
}

impl Long {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(SqliteStore::open(dir.path()).unwrap());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(LONG.fill(&store));
        let answers = Arc::new(Local::new(store, Vec::new()));
        Self { stage: Stage::over(answers, LONG.places()), _dir: dir }
    }

    /// From page to page, by the links alone: the deliveries that are listed, page by page.
    fn pages(&self, browser: &Browser, path: &str) -> Vec<Vec<String>> {
        browser.open(&self.stage.at(path));
        let mut pages = Vec::new();
        loop {
            let listed = browser.script(
                "return [...document.querySelectorAll('.rows a.row')].map((one) => one.getAttribute('href'))",
            );
            let listed = listed.as_array().unwrap().iter();
            pages.push(listed.map(|one| one.as_str().unwrap().to_owned()).collect());
            assert!(elements(browser) <= MOST, "{}: {}", browser.url(), elements(browser));
            if browser.script("return !document.querySelector('a[rel=next]')") == true {
                return pages;
            }
            let before = browser.url();
            browser.click("a[rel=next]");
            eventually("the next page", || browser.url() != before);
        }
    }
}

fn elements(browser: &Browser) -> i64 {
    browser.script("return document.querySelectorAll('*').length").as_i64().unwrap()
}

#[test]
fn a_history_is_told_to_its_end_by_links_and_every_page_of_a_large_watch_stays_small() {
    let long = Long::new();
    let watch = format!("/watches/{}", watch_name(0));
    let wanted: Vec<String> = (1..=LONG.deliveries)
        .rev()
        .filter(|n| (n - 1) % LONG.branches == 3)
        .map(|n| format!("/deliveries/{}", sample::id(n)))
        .collect();
    for browser in [Browser::start(), Browser::without_scripts()] {
        log_in(&browser, &long.stage.at(""), TRIGGER);
        browser.wait_for("branches need you");
        let mut told = Vec::new();
        for path in ["/", &watch, &format!("/deliveries/{}", sample::id(LONG.deliveries))] {
            browser.open(&long.stage.at(path));
            told.push(elements(&browser));
        }
        println!(
            "20 branches x 300 deliveries: {told:?} elements on /, the watch's page, a delivery's"
        );
        assert!(told.iter().all(|number| *number <= MOST), "{told:?}");

        let path = format!("{watch}?branch={}", branch_name(3).replace('/', "%2F"));
        let pages = long.pages(&browser, &path);
        assert!(pages.iter().all(|page| page.len() == 50), "{pages:?}");
        assert_eq!(pages.concat(), wanted, "each once, the newest first");
        // The way back from the end.
        let last = browser.url();
        browser.click(".pages a:not([rel])");
        eventually("the first page", || browser.url() != last);
        let shown =
            browser.script("return document.querySelector('.rows a.row').getAttribute('href')");
        assert_eq!(shown, wanted[0].as_str());
    }
}
