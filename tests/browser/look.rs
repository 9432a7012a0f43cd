//! How the page looks, at four widths and in both schemes: pictures for people, and what can be judged without eyes.

use std::path::Path;

use sentry_tests::browser::{Browser, target};
use sentry_tests::stage::{Stage, TRIGGER};
use serde_json::json;

use crate::{log_in, scene};

/// Phone, tablet, laptop, desk.
const WIDTHS: [u32; 4] = [390, 768, 1280, 1440];

#[test]
fn every_page_fits_every_width_in_both_schemes_and_axe_finds_nothing_serious() {
    let stage = Stage::start(scene::places());
    stage.answers.play(scene::day());
    let browser = Browser::start();
    browser.open(&stage.at("/login"));
    let folder = target().join("screenshots");
    let mut findings = Vec::new();
    let mut look =
        |name: &str, widths: &[u32]| findings.extend(look_at(&browser, &folder, name, widths));
    look("login", &WIDTHS);
    log_in(&browser, &stage.at(""), TRIGGER);
    browser.wait_for("release/2.14");
    for_docs(&browser, &stage, &folder);
    browser.open(&stage.at("/"));
    look("watches", &WIDTHS);
    for (name, path) in [
        ("watch", "/watches/shop"),
        ("suspended", "/watches/warehouse"),
        ("delivery", &scene::failed()),
        ("running", &scene::page(2)),
        ("attempts", &scene::page(62)),
        ("nothing", &scene::page(63)),
        ("queued", &scene::page(64)),
        ("newcomer", "/watches/newcomer"),
        ("parked", &scene::parked()),
        ("missing", "/deliveries/01k9none"),
    ] {
        browser.open(&stage.at(path));
        look(name, &WIDTHS);
    }
    browser.open(&stage.at("/language/zh"));
    look("watches-zh", &[390, 1280]);
    for (name, path) in [
        ("watch-zh", "/watches/shop"),
        ("suspended-zh", "/watches/warehouse"),
        ("delivery-zh", &*scene::failed()),
        ("running-zh", &scene::page(2)),
        ("attempts-zh", &scene::page(62)),
        ("nothing-zh", &scene::page(63)),
    ] {
        browser.open(&stage.at(path));
        look(name, &[390, 1280]);
    }
    browser.open(&stage.at("/language/en"));
    stage.answers.play(scene::crowd());
    browser.open(&stage.at("/"));
    look("crowd", &[390, 1280]);
    browser.open(&stage.at("/?state=failed&q=release"));
    look("found", &[390, 1280]);
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}

/// Takes pictures of what is shown, in both schemes; returns what is wrong with it.
fn look_at(browser: &Browser, folder: &Path, name: &str, widths: &[u32]) -> Vec<String> {
    let mut findings = Vec::new();
    for (scheme, &width) in
        ["light", "dark"].iter().flat_map(|one| widths.iter().map(move |w| (*one, w)))
    {
        view(browser, width, scheme);
        browser.picture(&folder.join(format!("{name}-{width}-{scheme}.png")));
        let wider = browser.script("return document.documentElement.scrollWidth - innerWidth");
        if wider.as_i64() > Some(0) {
            findings.push(format!("{name} at {width}: {wider} pixels too wide"));
        }
        // Rules differ by scheme (contrast) and by layout, not by both at once.
        if width == 1280 || (width == 390 && scheme == "light") {
            let serious = browser.serious_findings();
            findings.extend(serious.iter().map(|f| format!("{name} {width} {scheme}: {f}")));
        }
    }
    findings
}

/// A window in which nothing moves: colours are judged when they are what they will be.
fn view(browser: &Browser, width: u32, scheme: &str) {
    browser.view(width, scheme);
    let feature = |name: &str, value: &str| json!({"name": name, "value": value});
    let still = feature("prefers-reduced-motion", "reduce");
    let features = [feature("prefers-color-scheme", scheme), still];
    browser.protocol("Emulation.setEmulatedMedia", &json!({"features": features}));
}

/// The pictures that `make screenshots` takes for docs/operations.md: small files, of what a window shows.
fn for_docs(browser: &Browser, stage: &Stage, folder: &Path) {
    for (name, path, width, scheme) in [
        ("page-watches", "/", 1280, "light"),
        ("page-delivery", &*scene::failed(), 1280, "dark"),
        ("page-phone", "/", 390, "light"),
    ] {
        browser.view(width, scheme);
        browser.open(&stage.at(path));
        browser.still(&folder.join(format!("{name}.webp")));
    }
}
