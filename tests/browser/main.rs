//! The page in a browser: how it looks, what it does, and what it never does.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail their test")]

mod delivery;
mod events;
mod extra;
mod keyboard;
mod look;
mod road;
mod scene;

use sentry_tests::browser::Browser;

/// Logs in with a token, from wherever the browser is.
#[track_caller]
fn log_in(browser: &Browser, origin: &str, token: &str) {
    browser.open(&format!("{origin}/login"));
    browser.type_into("#token", token);
    browser.click("main button");
}
