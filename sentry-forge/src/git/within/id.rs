//! Ids of objects, and the hashes that they are computed with.

use std::fmt;

use data_encoding::HEXLOWER;
use sentry_core::repo::CommitSha;
use sha1_checked::Sha1;
use sha2::{Digest as _, Sha256};

use super::fault::Fault;

/// The hash of a repository's ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Algorithm {
    Sha1,
    Sha256,
}

impl Algorithm {
    /// The one that a commit's id was computed with.
    pub(crate) fn of(commit: &CommitSha) -> Self {
        if commit.algorithm() == "sha1" { Self::Sha1 } else { Self::Sha256 }
    }

    /// Its word in git's protocol.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
        }
    }

    /// Bytes of an id.
    pub(crate) fn length(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }
}

/// An object's id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Id {
    /// The rest of a shorter one is zeros.
    bytes: [u8; 32],
    algorithm: Algorithm,
}

impl Id {
    /// The id that these bytes are; `None` if they are not as many as one has.
    pub(crate) fn from_bytes(algorithm: Algorithm, given: &[u8]) -> Option<Self> {
        let mut bytes = [0; 32];
        bytes.get_mut(..algorithm.length())?.copy_from_slice(given.get(..algorithm.length())?);
        (given.len() == algorithm.length()).then_some(Self { bytes, algorithm })
    }

    /// The id of a text of 40 or 64 digits.
    pub(crate) fn of(text: &CommitSha) -> Option<Self> {
        let bytes = HEXLOWER.decode(text.as_str().as_bytes()).ok()?;
        Self::from_bytes(Algorithm::of(text), &bytes)
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.algorithm.length()]
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(self.bytes()))
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Computes an id. SHA-1 notices what was made to collide, as git's own does (sha1collisiondetection).
pub(crate) enum Hasher {
    Sha1(Box<Sha1>),
    Sha256(Box<Sha256>),
}

impl Hasher {
    pub(crate) fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Sha1 => Self::Sha1(Box::new(Sha1::new())),
            Algorithm::Sha256 => Self::Sha256(Box::new(Sha256::new())),
        }
    }

    /// For a sum that only says whether bytes arrived as they were sent.
    pub(crate) fn for_sum(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Sha1 => {
                Self::Sha1(Box::new(Sha1::builder().detect_collision(false).build()))
            }
            Algorithm::Sha256 => Self::new(algorithm),
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha1(hash) => hash.update(bytes),
            Self::Sha256(hash) => hash.update(bytes),
        }
    }

    /// The id, unless somebody made another object with the same one.
    pub(crate) fn finish(self) -> Result<Id, Fault> {
        let (algorithm, bytes) = match self {
            Self::Sha1(hash) => {
                let result = hash.try_finalize();
                if result.has_collision() {
                    let what = "has an object that was made to collide with another one's SHA-1";
                    return Err(Fault::garbled(what));
                }
                (Algorithm::Sha1, result.hash().to_vec())
            }
            Self::Sha256(hash) => (Algorithm::Sha256, hash.finalize().to_vec()),
        };
        Id::from_bytes(algorithm, &bytes).ok_or_else(|| Fault::garbled("has no id"))
    }
}

/// What an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Commit,
    Tree,
    Blob,
    Tag,
}

impl Kind {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Commit => "commit",
            Self::Tree => "tree",
            Self::Blob => "blob",
            Self::Tag => "tag",
        }
    }

    /// One of them.
    pub(crate) fn named(self) -> &'static str {
        match self {
            Self::Commit => "a commit",
            Self::Tree => "a tree",
            Self::Blob => "a file",
            Self::Tag => "a tag",
        }
    }

    /// The hash of an object of this kind and so many bytes, which are to follow.
    pub(crate) fn hasher(self, algorithm: Algorithm, size: u64) -> Hasher {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(format!("{} {size}\0", self.word()).as_bytes());
        hasher
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_those_that_git_computes() {
        for (algorithm, kind, bytes, expected) in [
            // The empty blob and the empty tree, which git knows by heart.
            (Algorithm::Sha1, Kind::Blob, "", "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"),
            (Algorithm::Sha1, Kind::Tree, "", "4b825dc642cb6eb9a060e54bf8d69288fbee4904"),
            (
                Algorithm::Sha256,
                Kind::Blob,
                "",
                "473a0f4c3be8a93681a267e3b1e9a7dcda1185436fe141f7749120a303721813",
            ),
            (
                Algorithm::Sha256,
                Kind::Tree,
                "",
                "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321",
            ),
            (Algorithm::Sha1, Kind::Blob, "a: 1\n", "a8926a52d8dcba5c4386945476ab6a2ad008afd4"),
        ] {
            let mut hasher = kind.hasher(algorithm, bytes.len() as u64);
            hasher.update(bytes.as_bytes());
            let id = hasher.finish().unwrap();
            assert_eq!(id.to_string(), expected);
            assert_eq!(Id::of(&expected.parse().unwrap()), Some(id));
        }
    }

    /// The first blocks of the two files of <https://shattered.io>, after which their hashes are the same whatever follows.
    #[test]
    fn what_was_made_to_collide_has_no_id() {
        let prefix = "255044462d312e330a25e2e3cfd30a0a0a312030206f626a0a3c3c2f57696474682032203020522f4865696768742033203020522f547970652034203020522f537562747970652035203020522f46696c7465722036203020522f436f6c6f7253706163652037203020522f4c656e6774682038203020522f42697473506572436f6d706f6e656e7420383e3e0a73747265616d0affd8fffe00245348412d3120697320646561642121212121852fec092339759c39b1a1c63c4c97e1fffe017f46dc93a6b67e013b029aaa1db2560b45ca67d688c7f84b8c4c791fe02b3df614f86db1690901c56b45c1530afedfb76038e972722fe7ad728f0e4904e046c230570fe9d41398abe12ef5bc942be33542a4802d98b5d70f2a332ec37fac3514e74ddc0f2cc1a874cd0c78305a21566461309789606bd0bf3f98cda8044629a1";
        let mut hasher = Hasher::new(Algorithm::Sha1);
        hasher.update(&HEXLOWER.decode(prefix.as_bytes()).unwrap());
        assert!(hasher.finish().is_err());
    }
}
