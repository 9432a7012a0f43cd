//! Bare repositories, written by git plumbing: no worktree, one process per commit.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

/// A git command that sees no configuration and no environment but `PATH`, in the given directory.
pub fn git(dir: &Path) -> Command {
    let mut command = Command::new("git");
    command.env_clear().current_dir(dir);
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    for (name, value) in [
        ("HOME", "/nonexistent"),
        ("LC_ALL", "C"),
        ("TZ", "UTC"),
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_TERMINAL_PROMPT", "0"),
        ("GIT_AUTHOR_NAME", "Ada"),
        ("GIT_AUTHOR_EMAIL", "ada@example.test"),
        ("GIT_COMMITTER_NAME", "Ada"),
        ("GIT_COMMITTER_EMAIL", "ada@example.test"),
    ] {
        command.env(name, value);
    }
    command
}

/// A branch's whole reference; another one as it is.
fn full(name: &str) -> String {
    if name.starts_with("refs/") { name.to_owned() } else { format!("refs/heads/{name}") }
}

/// One entry of a commit's tree, at a path below its root.
#[derive(Debug, Clone)]
pub struct Entry {
    mode: &'static str,
    path: String,
    content: Vec<u8>,
}

impl Entry {
    /// An ordinary file.
    pub fn file(path: &str, content: impl AsRef<[u8]>) -> Self {
        Self::new("100644", path, content)
    }

    /// A file with the executable bit.
    pub fn executable(path: &str, content: impl AsRef<[u8]>) -> Self {
        Self::new("100755", path, content)
    }

    /// A symbolic link to wherever `target` says.
    pub fn symlink(path: &str, target: &str) -> Self {
        Self::new("120000", path, target)
    }

    /// A submodule at that commit, which need not exist.
    pub fn gitlink(path: &str, sha: &str) -> Self {
        Self::new("160000", path, sha)
    }

    /// The file or directory goes away.
    pub fn delete(path: &str) -> Self {
        Self::new("delete", path, "")
    }

    fn new(mode: &'static str, path: &str, content: impl AsRef<[u8]>) -> Self {
        Self { mode, path: path.to_owned(), content: content.as_ref().to_vec() }
    }

    /// This entry as a command of `git fast-import`.
    fn write_to(&self, stream: &mut Vec<u8>) {
        let path = self.path.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        match self.mode {
            "delete" => stream.extend(format!("D \"{path}\"\n").bytes()),
            "160000" => {
                let sha = String::from_utf8_lossy(&self.content);
                stream.extend(format!("M 160000 {sha} \"{path}\"\n").bytes());
            }
            mode => {
                stream.extend(format!("M {mode} inline \"{path}\"\n").bytes());
                write_data(stream, &self.content);
            }
        }
    }
}

fn write_data(stream: &mut Vec<u8>, data: &[u8]) {
    stream.extend(format!("data {}\n", data.len()).bytes());
    stream.extend(data);
    stream.push(b'\n');
}

/// A bare repository on disk, which the servers of this crate serve.
#[derive(Debug)]
pub struct BareRepo {
    path: PathBuf,
    seconds: AtomicU64,
}

impl BareRepo {
    /// Creates `root/name` (`owner/a.git`, sub-groups as deep as liked), with `main` as its default branch.
    ///
    /// # Panics
    /// As every function here: when git fails, with what it said.
    pub fn create(root: &Path, name: &str) -> Self {
        let path = root.join(name);
        std::fs::create_dir_all(&path).expect("the repository's directory");
        run(git(&path).args(["init", "--quiet", "--bare", "--initial-branch=main", "."]), b"");
        Self::open(path)
    }

    /// A repository that is there already.
    pub fn open(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), seconds: AtomicU64::new(1_700_000_000) }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A commit on top of the branch (created if it is missing) with these files added or replaced; its SHA.
    pub fn commit(&self, branch: &str, files: &[(&str, &str)], message: &str) -> String {
        let entries: Vec<_> =
            files.iter().map(|(path, content)| Entry::file(path, content)).collect();
        self.commit_entries(branch, &entries, message)
    }

    /// The same with links, submodules, deletions and bytes; thousands of entries are fine.
    pub fn commit_entries(&self, branch: &str, entries: &[Entry], message: &str) -> String {
        let mut stream = format!("commit refs/heads/{branch}\nmark :1\n").into_bytes();
        stream.extend(format!("committer Ada <ada@example.test> {} +0000\n", self.tick()).bytes());
        write_data(&mut stream, message.as_bytes());
        if let Some(parent) = self.branch_at(branch) {
            stream.extend(format!("from {parent}\n").bytes());
        }
        for entry in entries {
            entry.write_to(&mut stream);
        }
        stream.extend(b"\nget-mark :1\ndone\n");
        let mut import = git(&self.path);
        import.args(["fast-import", "--quiet", "--done", "--force", "--date-format=raw"]);
        run(&mut import, &stream)
    }

    /// A blob; its object id.
    pub fn blob(&self, content: impl AsRef<[u8]>) -> String {
        run(git(&self.path).args(["hash-object", "-w", "--stdin"]), content.as_ref())
    }

    /// A tree of exactly these (mode, name, object id) entries, in this order and unchecked: `..`, `.git`, slashes,
    /// empty names, duplicates and odd modes are written as given. Its object id.
    pub fn raw_tree(&self, entries: &[(&str, &[u8], &str)]) -> String {
        let mut tree = Vec::new();
        for (mode, name, oid) in entries {
            tree.extend(mode.bytes());
            tree.push(b' ');
            tree.extend(*name);
            tree.push(0);
            for pair in oid.as_bytes().chunks(2) {
                let pair = std::str::from_utf8(pair).expect("an object id is hexadecimal");
                tree.push(u8::from_str_radix(pair, 16).expect("an object id is hexadecimal"));
            }
        }
        let mut hash = git(&self.path);
        run(hash.args(["hash-object", "-t", "tree", "--literally", "-w", "--stdin"]), &tree)
    }

    /// An object of any kind (`commit`, `tree`, `tag`, `blob`) of these bytes, unchecked; its id.
    ///
    /// # Panics
    /// When git fails.
    pub fn raw_object(&self, kind: &str, chunks: impl Iterator<Item = Vec<u8>>) -> String {
        let mut hash = git(&self.path);
        hash.args([
            "-c",
            "core.compression=1",
            "hash-object",
            "-t",
            kind,
            "--literally",
            "-w",
            "--stdin",
        ]);
        let mut child =
            hash.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("git starts");
        let mut stdin = child.stdin.take().expect("stdin is piped");
        for chunk in chunks {
            stdin.write_all(&chunk).expect("git reads");
        }
        drop(stdin);
        let output = child.wait_with_output().expect("git ends");
        assert!(output.status.success(), "git hash-object -t {kind}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Lets a branch stand for any object, which no git would.
    ///
    /// # Panics
    /// When it can't be written.
    pub fn point(&self, branch: &str, oid: &str) {
        let path = self.path.join("refs/heads").join(branch);
        std::fs::write(path, format!("{oid}\n")).expect("a ref can be written");
    }

    /// A commit of that tree on top of the branch; its SHA.
    pub fn commit_tree(&self, branch: &str, tree: &str, message: &str) -> String {
        let date = format!("{} +0000", self.tick());
        let mut commit = git(&self.path);
        commit.args(["commit-tree", "-m", message, tree]);
        commit.env("GIT_AUTHOR_DATE", &date).env("GIT_COMMITTER_DATE", &date);
        if let Some(parent) = self.branch_at(branch) {
            commit.args(["-p", &parent]);
        }
        let sha = run(&mut commit, b"");
        self.force(branch, &sha);
        sha
    }

    /// Sets the branch, or what a whole reference names, to that commit, whatever it was: a new branch, a force push, a
    /// push of an old commit.
    pub fn force(&self, branch: &str, sha: &str) {
        run(git(&self.path).args(["update-ref", &full(branch), sha]), b"");
    }

    /// Sets a tag with a message, an object of its own, to that object: a commit, or another tag; its own id.
    pub fn annotate(&self, tag: &str, object: &str) -> String {
        let date = format!("{} +0000", self.tick());
        let mut command = git(&self.path);
        command.args(["tag", "--force", "--annotate", "--message", "a tag", tag, object]);
        run(command.env("GIT_COMMITTER_DATE", &date), b"");
        self.ref_at(&format!("refs/tags/{tag}")).expect("the tag")
    }

    /// Deletes the branch, or what a whole reference names.
    pub fn delete_branch(&self, branch: &str) {
        run(git(&self.path).args(["update-ref", "-d", &full(branch)]), b"");
    }

    /// Sets references to commits in one step, as one push does.
    pub fn push_refs<'a>(&self, refs: impl IntoIterator<Item = (&'a str, &'a str)>) {
        let lines = refs.into_iter().map(|(name, sha)| format!("update {name} {sha}\n"));
        run(git(&self.path).args(["update-ref", "--stdin"]), lines.collect::<String>().as_bytes());
    }

    /// Creates many branches at one commit, in one process.
    pub fn branches(&self, names: impl IntoIterator<Item = String>, sha: &str) {
        let lines: String =
            names.into_iter().map(|n| format!("create refs/heads/{n} {sha}\n")).collect();
        run(git(&self.path).args(["update-ref", "--stdin"]), lines.as_bytes());
    }

    /// Takes in what `git fast-export` wrote of another repository: the same commits under the same branches.
    pub fn import(&self, stream: &[u8]) {
        run(git(&self.path).args(["fast-import", "--quiet", "--force"]), stream);
    }

    /// The head of the branch, or what a whole reference points at, read without a process.
    pub fn branch_at(&self, branch: &str) -> Option<String> {
        self.ref_at(&full(branch))
    }

    /// What a full ref name points at, read without a process.
    pub fn ref_at(&self, name: &str) -> Option<String> {
        if name.split('/').any(|piece| piece == "..") {
            return None;
        }
        if let Ok(loose) = std::fs::read_to_string(self.path.join(name)) {
            return Some(loose.trim().to_owned());
        }
        let packed = std::fs::read_to_string(self.path.join("packed-refs")).ok()?;
        packed.lines().find_map(|line| {
            let (sha, packed_name) = line.split_once(' ')?;
            (packed_name == name).then(|| sha.to_owned())
        })
    }

    /// What `git ARGS` prints in this repository, trimmed.
    pub fn git(&self, args: &[&str]) -> String {
        run(git(&self.path).args(args), b"")
    }

    /// The same, or `None` if git fails.
    pub fn try_git(&self, args: &[&str]) -> Option<String> {
        let output = git(&self.path).args(args).output().expect("git starts");
        let text = String::from_utf8_lossy(&output.stdout).trim_end().to_owned();
        output.status.success().then_some(text)
    }

    /// A second later than the last time: no two commits of a repository are the same by accident.
    fn tick(&self) -> u64 {
        self.seconds.fetch_add(1, Ordering::Relaxed)
    }
}

fn run(command: &mut Command, input: &[u8]) -> String {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("git starts");
    // git that fails early closes its end: the failure is told below.
    let _ = child.stdin.take().expect("stdin is piped").write_all(input);
    let output = child.wait_with_output().expect("git ends");
    let (said, failed) = (String::from_utf8_lossy(&output.stdout), &output.stderr);
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(failed));
    said.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repo() -> (tempfile::TempDir, BareRepo) {
        let root = tempfile::tempdir().unwrap();
        let repo = BareRepo::create(root.path(), "owner/a.git");
        (root, repo)
    }

    #[test]
    fn a_commit_keeps_the_files_of_its_parent_and_moves_the_branch() {
        let (_root, repo) = repo();
        let first = repo.commit("main", &[("a.txt", "1"), ("d/ü \"q\".txt", "2")], "first");
        let second = repo.commit("main", &[("a.txt", "3")], "second");
        assert_eq!(repo.branch_at("main"), Some(second.clone()));
        assert_eq!(repo.git(&["rev-parse", "main~1"]), first);
        assert_eq!(repo.git(&["show", "main:a.txt"]), "3");
        assert_eq!(repo.git(&["show", "main:d/ü \"q\".txt"]), "2");
        assert_eq!(repo.git(&["log", "-1", "--format=%s", &second]), "second");
    }

    #[test]
    fn equal_commits_on_equal_parents_differ() {
        let (_root, repo) = repo();
        let one = repo.commit("one", &[("a", "1")], "same");
        let two = repo.commit("two", &[("a", "1")], "same");
        assert_ne!(one, two);
    }

    #[test]
    fn a_branch_is_forced_and_deleted_packed_or_loose() {
        let (_root, repo) = repo();
        let first = repo.commit("feat/x", &[("a", "1")], "first");
        repo.commit("feat/x", &[("a", "2")], "second");
        repo.git(&["pack-refs", "--all"]);
        repo.force("feat/x", &first);
        assert_eq!(repo.branch_at("feat/x"), Some(first.clone()));
        repo.git(&["pack-refs", "--all"]);
        assert_eq!(repo.branch_at("feat/x"), Some(first.clone()));
        repo.delete_branch("feat/x");
        assert_eq!(repo.branch_at("feat/x"), None);
        repo.branches((0..3).map(|n| format!("b{n}")), &first);
        assert_eq!(repo.branch_at("b2"), Some(first));
        assert_eq!(repo.branch_at("../../config"), None);
    }

    #[test]
    fn links_submodules_and_deletions_are_committed() {
        let (_root, repo) = repo();
        repo.commit("main", &[("gone", "1")], "first");
        let entries = [
            Entry::executable("run.sh", "#!/bin/sh\n"),
            Entry::symlink("link", "/etc/passwd"),
            Entry::gitlink("sub", "1111111111111111111111111111111111111111"),
            Entry::delete("gone"),
        ];
        repo.commit_entries("main", &entries, "odd");
        let tree = repo.git(&["ls-tree", "main"]);
        let modes: Vec<_> = tree.lines().map(|line| &line[..6]).collect();
        assert_eq!(modes, ["120000", "100755", "160000"]);
    }

    #[test]
    fn a_hostile_tree_is_written_as_given() {
        let (_root, repo) = repo();
        let blob = repo.blob("evil");
        let inner = repo.raw_tree(&[("100664", b"..", &blob), ("100644", b"a/b", &blob)]);
        let root = repo.raw_tree(&[("40000", b".tekton", &inner)]);
        let sha = repo.commit_tree("main", &root, "hostile");
        assert_eq!(repo.branch_at("main"), Some(sha));
        // git's own listing shows 100664 as 100644: the bytes are what counts.
        let bytes = git(repo.path()).args(["cat-file", "tree", &inner]).output().unwrap().stdout;
        let has = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
        assert!(has(b"100664 ..\0") && has(b"100644 a/b\0"));
    }

    #[test]
    fn thousands_of_files_are_one_commit() {
        let (_root, repo) = repo();
        let entries: Vec<_> =
            (0..3000).map(|n| Entry::file(&format!("d{}/f{n}", n % 50), "x")).collect();
        repo.commit_entries("main", &entries, "many");
        assert_eq!(repo.git(&["ls-tree", "-r", "--name-only", "main"]).lines().count(), 3000);
    }
}
