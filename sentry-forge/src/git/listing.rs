//! What `git ls-tree` and `git cat-file` print, parsed. Pure; nothing here opens a file.

use std::collections::HashSet;

use sentry_core::forge::{RefusedEntry, TreeLimits};

/// Why a listing is no answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    /// git printed what it never prints, or a server sent what no server sends.
    Garbled(String),
    /// A limit is exceeded; the text says which, and by what.
    TooLarge(String),
    /// A file, by its path, was not sent.
    Missing(String),
}

/// One entry of a tree.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    pub(crate) mode: &'a str,
    pub(crate) oid: &'a str,
    /// Bytes, for blobs.
    pub(crate) size: Option<u64>,
    pub(crate) name: &'a [u8],
}

/// The lines of `ls-tree -z`, with or without `-l`.
pub(crate) fn entries(output: &[u8]) -> Result<Vec<Entry<'_>>, Problem> {
    let garbled = Problem::Garbled("git ls-tree printed no tree".to_owned());
    let Some(body) = output.strip_suffix(b"\0") else {
        return if output.is_empty() { Ok(Vec::new()) } else { Err(garbled) };
    };
    body.split(|&b| b == 0).map(entry).collect::<Option<_>>().ok_or(garbled)
}

fn entry(line: &[u8]) -> Option<Entry<'_>> {
    let tab = line.iter().position(|&b| b == b'\t')?;
    let mut words = std::str::from_utf8(&line[..tab]).ok()?.split_ascii_whitespace();
    let (mode, _kind, oid) = (words.next()?, words.next()?, words.next()?);
    let size = words.next().and_then(|text| text.parse().ok());
    Some(Entry { mode, oid, size, name: &line[tab + 1..] })
}

/// A manifest to be read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) path: String,
    pub(crate) oid: String,
    pub(crate) size: u64,
}

/// What a directory holds, by what is done with it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Listing {
    pub(crate) wanted: Vec<Wanted>,
    pub(crate) refused: Vec<RefusedEntry>,
    /// Bytes of what is wanted.
    bytes: u64,
    /// Entries of any kind.
    entries: usize,
}

impl Listing {
    /// Sorts the entries of the tree at `dir` into what is read, what is refused, and the rest, which is neither. Returns
    /// the paths and ids of the trees among them, which are to be listed next.
    pub(crate) fn add(
        &mut self,
        dir: &[u8],
        entries: &[Entry<'_>],
        limits: &TreeLimits,
    ) -> Result<Vec<(Vec<u8>, String)>, Problem> {
        self.entries += entries.len();
        if self.entries > limits.entries {
            let text = format!("has more than {} entries", limits.entries);
            return Err(Problem::TooLarge(text));
        }
        let (mut trees, mut seen) = (Vec::new(), HashSet::new());
        for entry in entries {
            let path =
                if dir.is_empty() { entry.name.to_vec() } else { [dir, entry.name].join(&b'/') };
            let twice = (!seen.insert(entry.name)).then_some("appears twice");
            match (odd_name(entry.name).or(twice), entry.mode) {
                (None, "040000") => trees.push((path, entry.oid.to_owned())),
                (None, "100644" | "100755") => self.want(entry, &path, limits)?,
                (odd, mode) => self.refused.push(RefusedEntry {
                    path: path.escape_ascii().to_string(),
                    what: odd.map_or_else(|| what_is(mode), str::to_owned),
                }),
            }
        }
        Ok(trees)
    }

    /// Notes a manifest; any other regular file is left out.
    fn want(&mut self, entry: &Entry<'_>, path: &[u8], limits: &TreeLimits) -> Result<(), Problem> {
        let path = String::from_utf8_lossy(path).into_owned();
        if !is_manifest(path.as_bytes()) {
            return Ok(());
        }
        let Some(size) = entry.size else { return Err(Problem::Missing(path)) };
        if size > limits.file_bytes {
            let most = limits.file_bytes;
            return Err(Problem::TooLarge(format!("{path}: {size} bytes, at most {most} allowed")));
        }
        self.bytes += size;
        if self.bytes > limits.total_bytes {
            let most = limits.total_bytes;
            return Err(Problem::TooLarge(format!("its manifests total more than {most} bytes")));
        }
        self.wanted.push(Wanted { path, oid: entry.oid.to_owned(), size });
        Ok(())
    }
}

/// True for what is read of a directory, by its name.
pub(crate) fn is_manifest(name: &[u8]) -> bool {
    let is_lock = || name == b"sentry.lock" || name.ends_with(b"/sentry.lock");
    name.ends_with(b".yaml") || name.ends_with(b".yml") || is_lock()
}

/// What a mode that is neither a file's nor a directory's means, as a clause.
pub(crate) fn what_is(mode: &str) -> String {
    match mode {
        "120000" => "is a symbolic link (mode 120000)".into(),
        "160000" => "is a submodule (mode 160000)".into(),
        "100644" | "100755" => format!("is a file (mode {mode})"),
        _ => format!("has the unexpected mode {mode}"),
    }
}

fn odd_name(name: &[u8]) -> Option<&'static str> {
    let Ok(text) = std::str::from_utf8(name) else { return Some("has a name that is not UTF-8") };
    if text.is_empty() || text == "." || text == ".." || text.eq_ignore_ascii_case(".git") {
        return Some("has a name that is not a file name");
    }
    if text.chars().any(|c| c.is_control() || c == '\\') {
        return Some("has a name with a control character or backslash");
    }
    if text.contains('/') {
        return Some("has a name with a slash in it");
    }
    None
}

/// The kinds and sizes that `cat-file --batch-check` prints, `None` for what is missing; `None` for anything else.
pub(crate) fn weights(output: &[u8]) -> Option<Vec<Option<(String, u64)>>> {
    let weight = |line: &str| {
        let mut words = line.split(' ').skip(1);
        match (words.next()?, words.next()) {
            ("missing", None) => Some(None),
            (kind, size) => Some(Some((kind.to_owned(), size?.parse().ok()?))),
        }
    };
    std::str::from_utf8(output).ok()?.lines().map(weight).collect()
}

/// One object of `cat-file --batch`'s output.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Object<'a> {
    Missing,
    Found { kind: &'a str, bytes: &'a [u8] },
}

/// Takes the next object off the output; `None` if there is no whole one.
pub(crate) fn object<'a>(output: &mut &'a [u8]) -> Option<Object<'a>> {
    let end = output.iter().position(|&b| b == b'\n')?;
    let head = std::str::from_utf8(&output[..end]).ok()?;
    let rest = &output[end + 1..];
    if head.ends_with(" missing") {
        *output = rest;
        return Some(Object::Missing);
    }
    let mut words = head.split(' ').skip(1);
    let (kind, size) = (words.next()?, words.next()?.parse().ok()?);
    let (bytes, rest) = rest.split_at_checked(size)?;
    *output = rest.strip_prefix(b"\n")?;
    Some(Object::Found { kind, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OID: &str = "a8926a52d8dcba5c4386945476ab6a2ad008afd4";

    fn listing(lines: &[(&str, &str, &[u8])]) -> Vec<u8> {
        let mut out = Vec::new();
        for (mode, size, path) in lines {
            out.extend_from_slice(format!("{mode} x {OID} {size:>7}\t").as_bytes());
            out.extend_from_slice(path);
            out.push(0);
        }
        out
    }

    fn sorted(dir: &str, lines: &[(&str, &str, &[u8])]) -> (Vec<String>, Vec<String>) {
        let mut sorted = Listing::default();
        let output = listing(lines);
        sorted.add(dir.as_bytes(), &entries(&output).unwrap(), &TreeLimits::default()).unwrap();
        (
            sorted.wanted.into_iter().map(|w| w.path).collect(),
            sorted.refused.into_iter().map(|r| format!("{} {}", r.path, r.what)).collect(),
        )
    }

    #[test]
    fn manifests_are_wanted_at_any_depth_and_other_files_are_left_out() {
        let lines: &[(&str, &str, &[u8])] = &[
            ("100644", "5", b"z.yaml"),
            ("100644", "5", b"README.md"),
            ("040000", "-", b"sub"),
            ("100755", "5", b"a.yml"),
        ];
        for (dir, paths) in [("", ["z.yaml", "a.yml"]), ("x/y", ["x/y/z.yaml", "x/y/a.yml"])] {
            assert_eq!(sorted(dir, lines), (paths.map(str::to_owned).to_vec(), Vec::new()));
            let limits = TreeLimits::default();
            let output = listing(lines);
            let entries = entries(&output).unwrap();
            let trees = Listing::default().add(dir.as_bytes(), &entries, &limits).unwrap();
            let sub = if dir.is_empty() { "sub" } else { "x/y/sub" };
            assert_eq!(trees, [(sub.into(), OID.to_owned())]);
        }
    }

    #[test]
    fn what_is_no_plain_file_is_refused_by_name() {
        let (wanted, refused) = sorted(
            "",
            &[
                ("120000", "5", b"link.yaml"),
                ("160000", "-", b"module"),
                ("100600", "5", b"odd.yaml"),
                ("100644", "5", b"\xff.yaml"),
                ("100644", "5", b"a\x1bb.yaml"),
                ("040000", "-", b".."),
                ("100644", "5", b"../up.yaml"),
                ("040000", "-", b"."),
                ("100644", "5", b""),
                ("100644", "5", br"a\b.yaml"),
                ("040000", "-", b".GIT"),
                ("100644", "5", b"ok.yaml"),
                ("100644", "5", b"ok.yaml"),
            ],
        );
        assert_eq!(wanted, ["ok.yaml"]);
        assert_eq!(
            refused,
            [
                "link.yaml is a symbolic link (mode 120000)",
                "module is a submodule (mode 160000)",
                "odd.yaml has the unexpected mode 100600",
                "\\xff.yaml has a name that is not UTF-8",
                "a\\x1bb.yaml has a name with a control character or backslash",
                ".. has a name that is not a file name",
                "../up.yaml has a name with a slash in it",
                ". has a name that is not a file name",
                " has a name that is not a file name",
                r"a\\b.yaml has a name with a control character or backslash",
                ".GIT has a name that is not a file name",
                "ok.yaml appears twice",
            ]
        );
        let (wanted, refused) = sorted("sub", &[("120000", "5", b"link.yaml")]);
        assert_eq!(
            (wanted.len(), refused),
            (0, vec!["sub/link.yaml is a symbolic link (mode 120000)".to_owned()])
        );
    }

    #[test]
    fn each_limit_is_checked_by_name_over_all_that_is_listed() {
        let limits = TreeLimits { file_bytes: 10, total_bytes: 15, entries: 2, repo_bytes: 0 };
        let large = |lines: &[(&str, &str, &[u8])]| {
            let mut sorted = Listing::default();
            let mut each = lines.iter().map(|line| {
                let output = listing(&[*line]);
                sorted.add(b"", &entries(&output).unwrap(), &limits)
            });
            match each.find_map(Result::err) {
                Some(Problem::TooLarge(text)) => text,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(large(&[("100644", "11", b"a.yaml")]), "a.yaml: 11 bytes, at most 10 allowed");
        let two = [("100644", "9", &b"a.yaml"[..]), ("100644", "9", b"b.yaml")];
        assert_eq!(large(&two), "its manifests total more than 15 bytes");
        let three = [("100644", "1", &b"a"[..]), ("100644", "1", b"b"), ("100644", "1", b"c")];
        assert_eq!(large(&three), "has more than 2 entries");
        let mut full = Listing::default();
        let just: [(&str, &str, &[u8]); 2] =
            [("100644", "10", b"a.yaml"), ("100644", "5", b"b.yaml")];
        for line in just {
            let output = listing(&[line]);
            full.add(b"", &entries(&output).unwrap(), &limits).unwrap();
        }
        assert_eq!(full.wanted.len(), 2, "what just fits is taken");
        let (wanted, refused) = sorted("", &[("100644", "99999999", b"big.bin")]);
        assert!(wanted.is_empty() && refused.is_empty());
    }

    #[test]
    fn weights_are_read_and_anything_else_is_none() {
        let some = |kind: &str, size| Some((kind.to_owned(), size));
        let read = weights(b"aa commit 12\nbb missing\ncc tree 0\n").unwrap();
        assert_eq!(read, [some("commit", 12), None, some("tree", 0)]);
        for bad in [&b"aa\n"[..], b"aa tree\n", b"aa tree x\n", b"\xff"] {
            assert_eq!(weights(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn garbled_listings_are_errors() {
        for bad in [&b"x"[..], b"\0", b"100644 blob\tx\0", b"100644 blob abc x"] {
            assert!(entries(bad).is_err(), "{bad:?}");
        }
        assert_eq!(entries(b"").unwrap(), []);
    }

    #[test]
    fn objects_are_read_one_by_one_and_a_cut_one_is_none() {
        let mut output = &b"aa blob 3\na\nb\nbb missing\ncc commit 9\nshort"[..];
        assert_eq!(object(&mut output), Some(Object::Found { kind: "blob", bytes: b"a\nb" }));
        assert_eq!(object(&mut output), Some(Object::Missing));
        assert_eq!(object(&mut output), None);
    }
}
