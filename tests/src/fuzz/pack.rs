//! Any bytes as a pack, with the sum that belongs to them: nothing panics, no more is inflated than may be, and each object's
//! id is that of its content.

use sentry_forge::testing;
use sha1_checked::{Digest as _, Sha1};

/// Judges one input.
///
/// # Panics
/// If the judge finds against Sentry.
pub fn pack(bytes: &[u8]) {
    let sum = Sha1::digest(bytes);
    let summed = [bytes, sum.as_slice()].concat();
    for object in [testing::pack(bytes), testing::pack(&summed)].into_iter().flatten().flatten() {
        let head = format!("{} {}\0", object.kind, object.bytes.len());
        let id = Sha1::digest([head.as_bytes(), &object.bytes].concat());
        assert_eq!(object.id, format!("{id:x}"), "{}", object.kind);
    }
}
