//! Trees, as git stores them: mode, name and id of each entry. Pure.

use super::fault::Fault;
use super::id::{Algorithm, Id};

/// An entry of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    /// As git prints it.
    pub(crate) mode: &'static str,
    pub(crate) name: &'a [u8],
    pub(crate) id: Id,
}

impl Entry<'_> {
    pub(crate) fn is_tree(&self) -> bool {
        self.mode == TREE
    }
}

/// The mode of a tree.
pub(crate) const TREE: &str = "040000";

/// The entries of a tree, in its order.
pub(crate) fn entries(algorithm: Algorithm, tree: &[u8]) -> Entries<'_> {
    Entries { algorithm, rest: tree }
}

/// Reads one entry after the other; ends after the first error.
#[derive(Debug, Clone)]
pub(crate) struct Entries<'a> {
    algorithm: Algorithm,
    rest: &'a [u8],
}

impl<'a> Entries<'a> {
    fn read(&mut self) -> Option<Entry<'a>> {
        let space = self.rest.iter().position(|&b| b == b' ')?;
        let mode = mode(&self.rest[..space])?;
        let rest = &self.rest[space + 1..];
        let end = rest.iter().position(|&b| b == 0).filter(|end| *end > 0)?;
        let (name, rest) = (&rest[..end], &rest[end + 1..]);
        let (id, rest) = rest.split_at_checked(self.algorithm.length())?;
        let id = Id::from_bytes(self.algorithm, id)?;
        self.rest = rest;
        Some(Entry { mode, name, id })
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<Entry<'a>, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let entry = self.read().ok_or_else(|| Fault::garbled("has a tree that can't be read"));
        if entry.is_err() {
            self.rest = &[];
        }
        Some(entry)
    }
}

/// The mode that git takes an entry's digits for: it knows five (`canon_mode` in git's cache.h).
fn mode(digits: &[u8]) -> Option<&'static str> {
    let octal = !digits.is_empty() && digits.iter().all(|digit| (b'0'..=b'7').contains(digit));
    let text = std::str::from_utf8(digits).ok().filter(|text| octal && text.len() <= 7)?;
    let mode = u32::from_str_radix(text, 8).ok()?;
    Some(match mode & 0o170_000 {
        0o100_000 if mode & 0o100 != 0 => "100755",
        0o100_000 => "100644",
        0o040_000 => TREE,
        0o120_000 => "120000",
        _ => "160000",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(mode: &str, name: &[u8]) -> Vec<u8> {
        [mode.as_bytes(), b" ", name, b"\0", &[7; 20]].concat()
    }

    #[test]
    fn modes_are_read_as_git_reads_them() {
        for (given, expected) in [
            ("100644", "100644"),
            ("0100644", "100644"),
            ("100664", "100644"),
            ("100600", "100644"),
            ("100755", "100755"),
            ("100744", "100755"),
            ("40000", TREE),
            ("040000", TREE),
            ("40755", TREE),
            ("120000", "120000"),
            ("120777", "120000"),
            ("160000", "160000"),
            ("0", "160000"),
            ("60000", "160000"),
        ] {
            let tree = raw(given, b"x");
            let read: Vec<_> = entries(Algorithm::Sha1, &tree).map(Result::unwrap).collect();
            let id = Id::from_bytes(Algorithm::Sha1, &[7; 20]).unwrap();
            assert_eq!(read, [Entry { mode: expected, name: b"x", id }], "{given}");
        }
    }

    #[test]
    fn every_cut_of_a_tree_is_an_error_or_a_shorter_tree() {
        let tree = [raw("100644", b"a"), raw("40000", b"\xff b\n")].concat();
        let border = raw("100644", b"a").len();
        for end in 0..=tree.len() {
            let read: Vec<_> = entries(Algorithm::Sha1, &tree[..end]).collect();
            let whole = [0, border, tree.len()].contains(&end);
            assert_eq!(read.iter().all(Result::is_ok), whole, "cut at {end}");
        }
    }

    #[test]
    fn what_is_no_tree_is_an_error() {
        for bad in [
            raw("", b"x"),
            raw("100648", b"x"),
            raw("+100644", b"x"),
            raw("10000644", b"x"),
            raw("100644", b""),
            b"100644".to_vec(),
            b"\xff\xff \0".to_vec(),
        ] {
            let read: Vec<_> = entries(Algorithm::Sha1, &bad).collect();
            assert!(matches!(read[..], [Err(Fault::Garbled(_))]), "{bad:?}");
        }
    }
}
