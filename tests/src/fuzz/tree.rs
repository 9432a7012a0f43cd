//! Any bytes as a tree: nothing panics, its entries are what the bytes say, and no odd name is read.

use sentry_forge::testing;

/// Judges one input.
///
/// # Panics
/// If the judge finds against Sentry.
pub fn tree(bytes: &[u8]) {
    let Some((entries, wanted, refused)) = testing::tree(bytes) else { return };
    let mut rest = bytes;
    for entry in &entries {
        let space = rest.iter().position(|&byte| byte == b' ').expect("a mode");
        assert!(rest[..space].iter().all(|digit| (b'0'..=b'7').contains(digit)));
        rest = &rest[space + 1..];
        assert!(rest.starts_with(&entry.name) && rest[entry.name.len()] == 0, "{entry:?}");
        rest = &rest[entry.name.len() + 1..];
        let id: String = rest[..20].iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(id, entry.id);
        rest = &rest[20..];
    }
    assert!(rest.is_empty(), "all of it was read");
    for path in &wanted {
        let plain = !path.contains(['/', '\\']) && !path.chars().any(char::is_control);
        assert!(plain, "{path:?}");
        assert!(path.ends_with(".yaml") || path.ends_with(".yml"), "{path:?}");
    }
    assert!(wanted.len() + refused.len() <= entries.len());
}
