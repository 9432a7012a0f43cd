//! Real repositories, made by the real git.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A bare repository under a temporary directory.
#[derive(Debug)]
pub(crate) struct Repo {
    pub(crate) path: PathBuf,
}

impl Repo {
    /// Makes an empty one at `root/name`, with filters allowed.
    pub(crate) fn new(root: &Path, name: &str) -> Self {
        Self::with_format(root, name, "sha1")
    }

    pub(crate) fn with_format(root: &Path, name: &str, format: &str) -> Self {
        let this = Self { path: root.join(name) };
        std::fs::create_dir_all(&this.path).unwrap();
        this.git(&["init", "-q", "--bare", "-b", "main", "--object-format", format], b"");
        this.config("uploadpack.allowFilter", "true");
        this
    }

    pub(crate) fn is_sha256(&self) -> bool {
        self.git(&["rev-parse", "--show-object-format"], b"") == "sha256"
    }

    pub(crate) fn config(&self, key: &str, value: &str) {
        self.git(&["config", key, value], b"");
    }

    /// Runs git in it and returns what it printed.
    pub(crate) fn git(&self, args: &[&str], stdin: &[u8]) -> String {
        let mut child = Command::new("git")
            .args(args)
            .current_dir(&self.path)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .envs([("GIT_AUTHOR_NAME", "Ada"), ("GIT_AUTHOR_EMAIL", "ada@example.com")])
            .envs([("GIT_COMMITTER_NAME", "Ada"), ("GIT_COMMITTER_EMAIL", "ada@example.com")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(stdin).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "git {args:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    pub(crate) fn blob(&self, bytes: &[u8]) -> String {
        self.git(&["hash-object", "-w", "--stdin"], bytes)
    }

    /// A tree with these entries as they are, however hostile: (mode, name, object id).
    pub(crate) fn tree(&self, entries: &[(&str, &[u8], &str)]) -> String {
        let mut raw = Vec::new();
        for (mode, name, oid) in entries {
            raw.extend_from_slice(mode.as_bytes());
            raw.push(b' ');
            raw.extend_from_slice(name);
            raw.push(0);
            let hex = |i: usize| u8::from_str_radix(&oid[i..i + 2], 16).unwrap();
            raw.extend((0..oid.len()).step_by(2).map(hex));
        }
        self.git(&["hash-object", "-w", "-t", "tree", "--literally", "--stdin"], &raw)
    }

    /// Commits a root tree to a branch.
    pub(crate) fn commit(&self, branch: &str, root: &str) -> String {
        let sha = self.git(&["commit-tree", "-m", "say what\n\nand why", root], b"");
        self.git(&["update-ref", &format!("refs/heads/{branch}"), &sha], b"");
        sha
    }

    /// Commits files to a branch, nothing else.
    pub(crate) fn commit_files(&self, branch: &str, files: &[(&str, &[u8])]) -> String {
        let stream = format!(
            "commit refs/heads/{branch}\ncommitter A <a@b> 1 +0000\ndata 1\nm\ndeleteall\n"
        );
        let mut stream = stream.into_bytes();
        for (path, bytes) in files {
            stream.extend(format!("M 100644 inline {path}\ndata {}\n", bytes.len()).bytes());
            stream.extend_from_slice(bytes);
            stream.push(b'\n');
        }
        self.git(&["fast-import", "--quiet", "--force"], &stream);
        self.git(&["rev-parse", &format!("refs/heads/{branch}")], b"")
    }

    /// So many commits, each on top of the one before, oldest first: `.tekton/a.yaml` of the n-th is `n: <n>`, beside it
    /// is `more(n)`.
    pub(crate) fn history(
        &self,
        branch: &str,
        count: usize,
        more: impl Fn(usize) -> Vec<u8>,
    ) -> Vec<String> {
        let mut stream = Vec::new();
        for n in 0..count {
            let head =
                format!("commit refs/heads/{branch}\ncommitter A <a@b> {n} +0000\ndata 1\nm\n");
            stream.extend(head.bytes());
            let manifest = format!("n: {n}\n").into_bytes();
            for (path, bytes) in [(".tekton/a.yaml", manifest), ("more", more(n))] {
                stream.extend(format!("M 100644 inline {path}\ndata {}\n", bytes.len()).bytes());
                stream.extend(bytes);
                stream.push(b'\n');
            }
        }
        self.git(&["fast-import", "--quiet", "--force"], &stream);
        let all = self.git(&["rev-list", "--reverse", branch], b"");
        all.lines().map(str::to_owned).collect()
    }
}

/// Bytes that no compression makes smaller; the same seed gives the same bytes.
pub(crate) fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}
