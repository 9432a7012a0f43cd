//! Any bytes as B's files: kubectl would send the very objects that were checked.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sentry_tests::judge::checked::Checked;

thread_local! {
    static CHECKED: Checked = Checked::default();
}

fuzz_target!(|bytes: &[u8]| {
    CHECKED.with(|checked| {
        let set = checked.prepare(&[("a.yaml", bytes)]);
        if let Err(difference) = checked.send(set) {
            panic!("{difference}");
        }
    });
});
