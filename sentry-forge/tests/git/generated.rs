//! Repositories that nobody wrote: what is read within the process is what the git program reads, byte for byte, or both
//! refuse it alike.

use sentry_core::forge::{Base, ChangesQuery, ForgeErrorKind, Source as _, TreeQuery};
use sentry_core::repo::RepoUrl;
use sentry_core::testing::sample;

use crate::support::lab::{BOTH, Lab, query};
use crate::support::repo::{Repo, noise};

/// Numbers that look like chance; the same seed gives the same ones.
struct Chance(u64);

impl Chance {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % most as u64).unwrap()
    }

    fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

const NAMES: [&[u8]; 17] = [
    b"a.yaml",
    b"b.yml",
    b"z.yaml",
    b"run-1.yaml",
    b"README.md",
    b"sub",
    b"sub.yaml",
    b"sub-1",
    "\u{fc}ber 1#.yaml".as_bytes(),
    b"\xff.yaml",
    b"..",
    b".git",
    b".GIT",
    b"a\\b.yaml",
    b"tab\there.yaml",
    b"a/b.yaml",
    b".yaml",
];
const MODES: [&str; 12] = [
    "100644", "100644", "100644", "100755", "100664", "100600", "120000", "160000", "40000",
    "40000", "40000", "0",
];

/// A text that is like the others of its seed, so that deltas are made of it.
fn text(chance: &mut Chance) -> Vec<u8> {
    let lines = chance.below(400);
    let changed = chance.below(lines + 1);
    let line = |n: usize| {
        let word = if n == changed { "changed" } else { "same" };
        format!("key-{n}: {word} {}\n", n * 7919 % 1000)
    };
    let mut text: Vec<u8> = (0..lines).map(line).collect::<String>().into_bytes();
    if chance.below(6) == 0 {
        text.extend(noise(chance.below(3000), lines as u64));
    }
    text
}

/// A tree of chance, so many levels deep at most.
fn tree(repo: &Repo, chance: &mut Chance, depth: usize) -> String {
    let mut entries = Vec::new();
    for _ in 0..chance.below(7) {
        let (name, mode) = (*chance.one(&NAMES), *chance.one(&MODES));
        if entries.iter().any(|(_, known, _): &(&str, &[u8], String)| *known == name) {
            continue;
        }
        let id = match mode {
            "40000" if depth > 0 => tree(repo, chance, depth - 1),
            "40000" => continue,
            "160000" | "0" => "1".repeat(if repo.is_sha256() { 64 } else { 40 }),
            _ => repo.blob(&text(chance)),
        };
        entries.push((mode, name, id));
    }
    // git sorts a tree as if its name ended with a slash.
    let key = |(mode, name, _): &(&str, &[u8], String)| {
        [*name, if *mode == "40000" { b"/" } else { b"" }].concat()
    };
    entries.sort_by_key(key);
    let entries: Vec<_> =
        entries.iter().map(|(mode, name, id)| (*mode, *name, id.as_str())).collect();
    repo.tree(&entries)
}

/// A repository of chance with some commits, deltas in all its packs.
fn repository(lab: &Lab, chance: &mut Chance) -> (Repo, Vec<String>) {
    let format = *chance.one(&["sha1", "sha1", "sha256"]);
    let repo = Repo::with_format(lab.repos.path(), "b.git", format);
    let filters = *chance.one(&["true", "true", "false"]);
    repo.config("uploadpack.allowFilter", filters);
    if chance.below(4) == 0 {
        repo.config("uploadpackfilter.tree.maxDepth", "0");
    }
    let mut commits = Vec::new();
    for _ in 0..3 {
        let directory = tree(&repo, chance, 3);
        let deep = repo.tree(&[("40000", b"in", &directory)]);
        let other = repo.blob(&text(chance));
        let root = repo.tree(&[
            ("40000", b".tekton", &directory),
            ("40000", b"deep", &deep),
            ("100644", b"other", &other),
        ]);
        commits.push(repo.commit("main", &root));
    }
    let depth = format!("--depth={}", chance.one(&[1, 5, 50]));
    repo.git(&["repack", "-adfq", &depth, "--window=50"], b"");
    (repo, commits)
}

/// What one way makes of the same question: all that is read, or the kind of the error.
async fn read(lab: &Lab, query: &TreeQuery) -> Result<String, ForgeErrorKind> {
    let tree = lab.tree(query).await;
    tree.map(|tree| format!("{tree:?}")).map_err(|error| error.kind())
}

async fn changed(lab: &Lab, url: &RepoUrl, from: &str, to: &str) -> Result<String, ForgeErrorKind> {
    let query = ChangesQuery {
        repo: url.clone(),
        from: Base::Commit(from.parse().unwrap()),
        to: sample::at("main", to),
        timeout: std::time::Duration::from_secs(60),
    };
    let changes = lab.forge.changes(&query).await;
    changes.map(|changes| format!("{changes:?}")).map_err(|error| error.kind())
}

#[tokio::test]
async fn what_is_read_within_is_what_the_program_reads() {
    let (mut read_whole, mut refused) = (0, 0);
    for seed in 1..=12 {
        let mut chance = Chance(seed * 0x9e37_79b9);
        let source = Lab::new();
        let (_repo, commits) = repository(&source, &mut chance);
        let (_server, url) = source.serve(None);
        let labs = BOTH.map(Lab::of);
        for (n, commit) in commits.iter().enumerate() {
            for dir in [".tekton", "deep/in", "deep", "other", "none"] {
                let query = query(&url, commit, dir);
                let mut answers = Vec::new();
                for lab in &labs {
                    answers.push(read(lab, &query).await);
                }
                assert_eq!(answers[0], answers[1], "seed {seed}, commit {n}, {dir}");
                read_whole += usize::from(answers[0].is_ok());
                refused += usize::from(answers[0].is_err());
            }
            let mut answers = Vec::new();
            for lab in &labs {
                answers.push(changed(lab, &url, &commits[0], commit).await);
            }
            assert_eq!(answers[0], answers[1], "seed {seed}, changes of {n}");
            let revision = sample::at("main", commit);
            let info = labs[0].forge.commit(&url, &revision).await.unwrap();
            assert_eq!(info, labs[1].forge.commit(&url, &revision).await.unwrap());
        }
    }
    assert!(read_whole > 20 && refused > 20, "{read_whole} and {refused}");
}
