//! Any bytes as B's files: kubectl would send the very objects that were checked.

use crate::judge::checked::Checked;

thread_local! {
    static CHECKED: Checked = Checked::default();
}

/// Judges one input.
///
/// # Panics
/// If the judge finds against Sentry.
pub fn differential(bytes: &[u8]) {
    CHECKED.with(|checked| {
        let set = checked.prepare(&[("a.yaml", bytes)]);
        if let Err(difference) = checked.send(set) {
            panic!("{difference}");
        }
    });
}
