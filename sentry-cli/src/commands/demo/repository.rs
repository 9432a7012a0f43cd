//! A git repository in memory: what is committed to its one branch, as the objects that git would store
//! (gitformat-pack(5), "Loose objects").

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{self, Write as _};
use std::str::FromStr;

use sentry_core::clock::Timestamp;
use sha1_checked::{Digest as _, Sha1};

/// Who commits.
const WHO: &str = "Demo <demo@example.com>";

/// The id of an object.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Oid([u8; 20]);

impl Oid {
    /// Of this content, which has its kind and size before it.
    fn of(kind: Kind, body: &[u8]) -> Self {
        let mut hash = Sha1::new();
        hash.update(format!("{} {}\0", kind.word(), body.len()));
        hash.update(body);
        Self(hash.finalize().into())
    }
}

impl fmt::Display for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Oid {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut id = [0; 20];
        if text.len() != 2 * id.len() || !text.is_ascii() {
            return Err(());
        }
        for (at, byte) in id.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).map_err(drop)?;
        }
        Ok(Self(id))
    }
}

/// What an object is; the number is its type in a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Commit = 1,
    Tree = 2,
    Blob = 3,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Commit => "commit",
            Self::Tree => "tree",
            Self::Blob => "blob",
        }
    }
}

/// An object.
pub(super) struct Object {
    pub(super) kind: Kind,
    pub(super) body: Vec<u8>,
    /// What it names: of a tree its entries; of a commit its tree, then its parent.
    pub(super) links: Vec<Oid>,
}

/// What of a commit's content is left out of a pack (`--filter` of git-rev-list(1)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Filter {
    Nothing,
    Blobs,
    /// What lies as deep as that, or deeper; the root lies at 0.
    Below(usize),
}

impl Filter {
    fn keeps(self, kind: Kind, depth: usize) -> bool {
        match self {
            Self::Nothing => true,
            Self::Blobs => kind != Kind::Blob,
            Self::Below(most) => depth < most,
        }
    }
}

/// One with the branch `main`.
#[derive(Default)]
pub(super) struct Repository {
    objects: BTreeMap<Oid, Object>,
    files: BTreeMap<String, String>,
    told: BTreeMap<Oid, (String, Timestamp)>,
    head: Option<Oid>,
}

impl Repository {
    /// Where `main` is.
    pub(super) fn head(&self) -> Option<Oid> {
        self.head
    }

    pub(super) fn object(&self, id: Oid) -> Option<&Object> {
        self.objects.get(&id)
    }

    /// A commit's message, and when it was made.
    pub(super) fn told(&self, id: Oid) -> Option<&(String, Timestamp)> {
        self.told.get(&id)
    }

    /// Puts files into the branch, beside those that are there.
    pub(super) fn commit(&mut self, message: &str, files: &[(&str, &str)], at: Timestamp) -> Oid {
        let new = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned()));
        self.files.extend(new);
        let all = self.files.clone();
        let all: Vec<_> = all.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        let tree = self.tree(&all);
        let parent = self.head.map(|head| format!("parent {head}\n")).unwrap_or_default();
        let who = format!("{WHO} {} +0000", at.as_second());
        let body = format!("tree {tree}\n{parent}author {who}\ncommitter {who}\n\n{message}\n");
        let links = [tree].into_iter().chain(self.head).collect();
        let id = self.put(Object { kind: Kind::Commit, body: body.into_bytes(), links });
        self.told.insert(id, (message.to_owned(), at));
        self.head = Some(id);
        id
    }

    /// The tree of files, each with its path from there.
    fn tree(&mut self, files: &[(&str, &str)]) -> Oid {
        let mut entries = BTreeMap::new();
        let mut below: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
        for (path, text) in files {
            if let Some((dir, rest)) = path.split_once('/') {
                below.entry(dir).or_default().push((rest, text));
            } else {
                let body = text.as_bytes().to_vec();
                let blob = self.put(Object { kind: Kind::Blob, body, links: Vec::new() });
                entries.insert((*path).to_owned(), ("100644", blob));
            }
        }
        for (dir, files) in below {
            // git sorts directories as if their names ended so.
            entries.insert(format!("{dir}/"), ("40000", self.tree(&files)));
        }
        let (mut body, mut links) = (Vec::new(), Vec::new());
        for (name, (mode, id)) in entries {
            body.extend(format!("{mode} {}\0", name.trim_end_matches('/')).into_bytes());
            body.extend(id.0);
            links.push(id);
        }
        self.put(Object { kind: Kind::Tree, body, links })
    }

    fn put(&mut self, object: Object) -> Oid {
        let id = Oid::of(object.kind, &object.body);
        self.objects.insert(id, object);
        id
    }

    /// A commit and those before it; of another object, that object alone.
    pub(super) fn history(&self, from: Oid) -> Vec<Oid> {
        let parent = |id: &Oid| {
            let object = self.object(*id).filter(|object| object.kind == Kind::Commit)?;
            object.links.get(1).copied()
        };
        std::iter::successors(Some(from), parent).collect()
    }

    /// Adds what an object names, as far as the filter keeps it. A commit's parent is none of it.
    fn descend(&self, object: &Object, filter: Filter, depth: usize, found: &mut BTreeSet<Oid>) {
        let links = if object.kind == Kind::Commit { &object.links[..1] } else { &object.links };
        for id in links {
            let Some(object) = self.object(*id) else { continue };
            if filter.keeps(object.kind, depth) {
                found.insert(*id);
                self.descend(object, filter, depth + 1, found);
            }
        }
    }

    /// These objects and what they name as a pack (gitformat-pack(5)), each whole.
    pub(super) fn pack(&self, ids: &BTreeSet<Oid>, filter: Filter) -> io::Result<Vec<u8>> {
        let mut found = ids.clone();
        for object in ids.iter().filter_map(|id| self.object(*id)) {
            let depth = usize::from(object.kind == Kind::Tree);
            self.descend(object, filter, depth, &mut found);
        }
        let objects: Vec<&Object> = found.iter().filter_map(|id| self.object(*id)).collect();
        let number = u32::try_from(objects.len()).map_err(io::Error::other)?;
        let mut pack = b"PACK\0\0\0\x02".to_vec();
        pack.extend(number.to_be_bytes());
        for object in objects {
            let mut size = object.body.len();
            let mut byte = ((object.kind as u8) << 4) | (size & 0xf) as u8;
            size >>= 4;
            while size > 0 {
                pack.push(byte | 0x80);
                byte = (size & 0x7f) as u8;
                size >>= 7;
            }
            pack.push(byte);
            let mut deflated = flate2::write::ZlibEncoder::new(pack, flate2::Compression::fast());
            deflated.write_all(&object.body)?;
            pack = deflated.finish()?;
        }
        let sum = Sha1::digest(&pack);
        pack.extend(sum);
        Ok(pack)
    }
}
