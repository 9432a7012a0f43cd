//! Any text as URL, branch, directory, commit, context, namespace and name, one a line: no option reaches a program.

use crate::judge::given::{Given, Names};

thread_local! {
    static GIVEN: Given = Given::new();
}

/// Judges one input; bytes that are no text are replaced.
///
/// # Panics
/// If the judge finds against Sentry.
pub fn argv(bytes: &[u8]) {
    let text = &*String::from_utf8_lossy(bytes);
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
}
