//! What is too large is refused by its place, before it is read; what git has no memory for, by its memory.

use std::path::Path;

use sentry_core::forge::ForgeErrorKind;
use sentry_core::retry::Retry;

use crate::support::lab::{Lab, TOKEN, query, write_script};
use crate::support::repo::Repo;

/// A tree of one name many times over.
fn large_tree(repo: &Repo, mib: usize) -> String {
    let mut entry = b"100644 a-name-of-a-file.yaml\0".to_vec();
    let blob = repo.blob(b"a: 1\n");
    entry.extend((0..40).step_by(2).map(|at| u8::from_str_radix(&blob[at..at + 2], 16).unwrap()));
    let bytes = entry.repeat((mib << 20) / entry.len() + 1);
    repo.git(&["hash-object", "-w", "-t", "tree", "--literally", "--stdin"], &bytes)
}

#[tokio::test]
async fn a_large_commit_and_a_large_tree_are_named_with_their_size_and_the_limit() {
    let lab = Lab::new();
    let repo = lab.repo();
    let empty = repo.tree(&[]);
    let message = "x".repeat(2 << 20);
    let commit = repo.git(&["commit-tree", "-F", "-", &empty], message.as_bytes());
    repo.git(&["update-ref", "refs/heads/large", &commit], b"");
    let large = large_tree(&repo, 33);
    let dir = |inside: &str| repo.tree(&[("40000", b".tekton", inside)]);
    let root = repo.commit("root", &large);
    let directory = repo.commit("directory", &dir(&large));
    let below = repo.commit("below", &dir(&repo.tree(&[("40000", b"sub", &large)])));
    let (_server, http) = lab.serve(Some(TOKEN));
    for url in [http, lab.file_url()] {
        for (commit, place, limit) in [
            (&commit, "the commit itself, with its message: 2097", "at most 1048576 allowed"),
            (&root, "the tree of its root: 346", "at most 33554432 allowed"),
            (&directory, "the tree of the directory: 346", "at most 33554432 allowed"),
            (&below, "the tree of sub: 346", "at most 33554432 allowed"),
        ] {
            let error = lab.tree(&query(&url, commit, ".tekton")).await.unwrap_err();
            assert_eq!(error.kind(), ForgeErrorKind::TooLarge, "{error:?}");
            let text = error.to_string();
            assert!(text.contains(place) && text.contains(limit), "{text}");
        }
    }
}

#[tokio::test]
async fn what_weighs_just_as_much_as_is_allowed_is_read() {
    let lab = Lab::new();
    let repo = lab.repo();
    let root = repo.tree(&[("40000", b".tekton", &repo.tree(&[]))]);
    let commit = |message: usize| {
        let message = "x".repeat(message);
        let commit = repo.git(&["commit-tree", "-F", "-", &root], message.as_bytes());
        repo.git(&["update-ref", "refs/heads/main", &commit], b"");
        commit
    };
    let around: usize =
        repo.git(&["cat-file", "-s", &commit(1)], b"").parse::<usize>().unwrap() - 1;
    let tree = lab.tree(&query(&lab.file_url(), &commit((1 << 20) - around), ".tekton")).await;
    assert_eq!(tree.unwrap().files, []);
    let error = lab.tree(&query(&lab.file_url(), &commit((1 << 20) - around + 1), ".tekton")).await;
    assert_eq!(error.unwrap_err().kind(), ForgeErrorKind::TooLarge);
}

#[tokio::test]
async fn a_git_that_runs_out_of_memory_or_is_killed_for_it_is_counted() {
    let place = tempfile::tempdir().unwrap();
    for (what, sign) in [
        (
            "echo 'fatal: Out of memory, malloc failed (tried to allocate 9 bytes)' >&2; exit 128",
            "192 MiB",
        ),
        ("kill -9 $$", "runs out"),
        ("echo 'error: index-pack died of signal 9' >&2; exit 128", "runs out"),
    ] {
        let git = place.path().join("git-that-fails");
        write_script(&git, &format!("#!/bin/sh\n{what}\n"));
        let lab = Lab::with_git(Path::new(&git));
        Repo::new(lab.repos.path(), "b.git");
        let sha = "c0ffee00".repeat(5);
        let error = lab.tree(&query(&lab.file_url(), &sha, ".tekton")).await.unwrap_err();
        assert_eq!(error.kind(), ForgeErrorKind::OutOfMemory, "{what}: {error:?}");
        assert_eq!(error.retry(), Retry::Counted);
        assert!(error.to_string().contains(sign), "{error}");
    }
}
