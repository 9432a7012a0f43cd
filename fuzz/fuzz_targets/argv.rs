//! Any text as URL, branch, directory, commit, context, namespace and name, one a line: no option reaches a program.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sentry_tests::judge::given::{Given, Names};

thread_local! {
    static GIVEN: Given = Given::new();
}

fuzz_target!(|text: &str| {
    let mut lines = text.split('\n').map(str::to_owned);
    let mut next = || lines.next().unwrap_or_default();
    let names = Names {
        url: next(),
        branch: next(),
        dir: next(),
        commit: next(),
        context: next(),
        namespace: next(),
        // The rest: a name may hold line breaks.
        name: lines.collect::<Vec<_>>().join("\n"),
    };
    GIVEN.with(|given| {
        if let Err(option) = given.judge(&names) {
            panic!("{option}");
        }
    });
});
