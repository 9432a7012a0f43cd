//! Any bytes as a list of refs, by protocol and as git prints it: nothing panics, and what is read is what was said.

use sentry_forge::testing;

/// Judges one input.
///
/// # Panics
/// If the judge finds against Sentry.
pub fn refs(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let lower = text.to_ascii_lowercase();
    for list in [testing::ls_refs(bytes), testing::ls_remote(bytes)].into_iter().flatten() {
        for (subject, sha) in list {
            let said = text.contains(&subject.reference()) && lower.contains(sha.as_str());
            assert!(said, "{subject} {sha}");
        }
    }
}
