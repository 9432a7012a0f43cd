//! The page over the real binary, real git and a cluster's API server.

use sentry_tests::browser::Browser;
use sentry_tests::sandbox::eventually;
use sentry_tests::served::{READ, Served, TRIGGER};

use crate::log_in;

#[test]
fn without_a_token_nobody_gets_in_and_with_a_wrong_one_neither() {
    let served = Served::with_tokens();
    let browser = Browser::start();
    browser.open(&served.url);
    assert_eq!(browser.url(), format!("{}/login", served.url));
    log_in(&browser, &served.url, "a-wrong-t0ken");
    browser.wait_for("This is not a token of this Sentry.");
    browser.open(&format!("{}/watches/qa", served.url));
    assert_eq!(browser.url(), format!("{}/login?then=/watches/qa", served.url));
    browser.type_into("#token", READ);
    browser.click("main button");
    browser.wait_for("Branches");
    assert_eq!(
        browser.url(),
        format!("{}/watches/qa", served.url),
        "it leads to where one wanted to go"
    );
    let cookie = browser.script("return document.cookie");
    assert_eq!(cookie, "", "a script reads the session");
    browser.click(".out button");
    let login = format!("{}/login", served.url);
    eventually("the login, after logging out", || browser.url() == login);
    browser.open(&served.url);
    assert_eq!(browser.url(), login, "logged out");
    let log = served.agent.term();
    assert!(!log.stderr.contains(READ) && !log.stderr.contains("a-wrong-t0ken"), "{}", log.stderr);
}

#[test]
fn a_delivery_shows_itself_while_somebody_looks() {
    let served = Served::with_tokens();
    let browser = Browser::start();
    log_in(&browser, &served.url, READ);
    browser.wait_for("baseline");
    browser.wait_for("live");
    browser.script("window.here = true");
    let sha = served.road.push();
    browser.wait_for(&sha[..8]);
    browser.wait_for("succeeded");
    assert_eq!(browser.script("return window.here"), true, "the page was loaded anew");
    let buttons = browser.script(
        "return document.querySelectorAll('main form[method=post], main button[form]').length",
    );
    assert_eq!(buttons, 0, "who may only read is offered a button");
    // The link may be replaced at any moment by the one that says the same anew.
    browser.script("document.querySelector('.line a.name').click()");
    browser.wait_for("Delivered with 2 runs");
    browser.click("#objects-all > summary");
    let shown = browser.text("main");
    for expected in ["Sentry's own steps", &sha[..8], "PipelineRun", "a new commit"] {
        assert!(shown.contains(expected), "{expected} is missing:\n{shown}");
    }
    // The stream ends with the server: nobody who looks holds up the end.
    assert_eq!(served.agent.term().code, Some(0));
}

#[test]
fn a_press_of_the_button_delivers_and_leads_to_the_delivery() {
    let served = Served::with_tokens();
    let browser = Browser::start();
    log_in(&browser, &served.url, TRIGGER);
    browser.wait_for("baseline");
    assert!(served.road.runs().is_empty());
    // Between a press and its release by a mouse the script may replace the button: this is both at once.
    browser.script("document.querySelector('.line button').click()");
    eventually("the delivery's page", || browser.url().contains("/deliveries/"));
    browser.wait_for("Delivered with 2 runs");
    browser.wait_for("requested by hand");
    assert_eq!(served.road.runs().len(), 2);

    browser.open(&format!("{}/watches/qa", served.url));
    browser.click(".forms details:last-child > summary");
    browser.type_into("#reason", "the <b>database</b> moves");
    browser.click("form[action$=suspend] button");
    browser.wait_for("the <b>database</b> moves");
    let status = served.road.json(&["status", "-o", "json"]);
    assert_eq!(status["watches"][0]["suspended"], true);
    browser.click(".forms details:last-child > summary");
    browser.click("form[action$=resume] button");
    eventually("resumed", || {
        served.road.json(&["status", "-o", "json"])["watches"][0]["suspended"] == false
    });
}

#[test]
fn all_can_be_read_without_scripts_and_done_by_keyboard() {
    let served = Served::with_tokens();
    let browser = Browser::without_scripts();
    browser.open(&served.url);
    // Where the cursor stands: the field has the focus from the first picture on.
    eventually("the field has the focus", || {
        browser.script("return document.activeElement.id") == "token"
    });
    browser.press(&format!("{TRIGGER}\u{e007}"));
    browser.wait_for("baseline");
    // Skip link, brand, log out, the watch, details or the button: one after the other, by Tab alone; from the start, where
    // the page's own refresh comes in between.
    let home = browser.url();
    eventually("the button, by keyboard alone", || {
        browser.press("\u{e004}");
        if browser.focused().contains("Deliver now") {
            browser.press("\u{e007}");
        }
        browser.url() != home
    });
    eventually("the delivery's page, by the page's own refresh", || {
        browser.url().contains("/deliveries/")
    });
    browser.wait_for("Sentry's own steps");
}

#[test]
fn without_a_token_in_the_configuration_the_page_says_how_to_have_one() {
    let served = Served::with("listen: '127.0.0.1:1'");
    let browser = Browser::start();
    browser.open(&served.url);
    let shown = browser.text("main");
    assert!(shown.contains("server.trigger_token_file"), "{shown}");
    browser.open(&format!("{}/watches/qa", served.url));
    assert!(!browser.text("body").contains("Branches"));
}
