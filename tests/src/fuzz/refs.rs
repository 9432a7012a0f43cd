//! Any bytes as a list of refs, by protocol and as git prints it: nothing panics, and what is read is what was said.
use sentry_forge::testing;

/// Judges one input.
///
/// # Panics
/// If the judge finds against Sentry.
pub fn refs(bytes: &[u8]) {
    for list in [testing::ls_refs(bytes), testing::ls_remote(bytes)].into_iter().flatten() {
        for (branch, sha) in list {
            let said = |text: &str| {
                bytes.windows(text.len()).any(|part| part.eq_ignore_ascii_case(text.as_bytes()))
            };
            assert!(said(&branch.full_ref()) && said(sha.as_str()), "{branch} {sha}");
        }
    }
}
