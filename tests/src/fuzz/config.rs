//! Any text as sentry.yaml: it is a configuration, or every problem says where it is and what to do.

use std::collections::BTreeMap;

use sentry_config::Environment;

/// Judges one input; bytes that are no text are replaced.
///
/// # Panics
/// If the judge finds against Sentry.
pub fn config(bytes: &[u8]) {
    let text = &*String::from_utf8_lossy(bytes);
    let vars = BTreeMap::from([
        ("TOKEN".to_owned(), "t0ken-of-the-fuzzer".to_owned()),
        ("EMPTY".to_owned(), String::new()),
    ]);
    let env = Environment { vars, ..Environment::default() };
    match sentry_config::parse(text, "sentry.yaml", &env) {
        Ok(config) => {
            let long = sentry_config::to_long_form(&config);
            assert!(
                !long.contains("t0ken-of-the-fuzzer") || text.contains("t0ken-of-the-fuzzer"),
                "{long}"
            );
        }
        Err(problems) => {
            let shown = problems.to_string();
            assert!(!shown.is_empty());
            let lines = text.matches(['\n', '\r']).count() + 1;
            for problem in problems.iter() {
                assert!((1..=lines).contains(&problem.line) && problem.column > 0, "{problem}");
                assert!(!problem.message.is_empty() && !problem.hint.is_empty(), "{problem}");
            }
        }
    }
}
