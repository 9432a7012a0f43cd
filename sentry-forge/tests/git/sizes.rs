//! What is too large is refused by its place, before it is read; what git has no memory for, by its memory.

use std::path::Path;

use sentry_core::forge::ForgeErrorKind;
use sentry_core::retry::Retry;

use crate::changes::changes;
use crate::support::lab::{BOTH, Lab, TOKEN, query, write_script};
use crate::support::repo::Repo;

/// A tree of so many bytes: one name many times over, the last one longer.
fn large_tree(repo: &Repo, bytes: usize) -> String {
    let blob = repo.blob(b"a: 1\n");
    let id = (0..40).step_by(2).map(|at| u8::from_str_radix(&blob[at..at + 2], 16).unwrap());
    let entry = |length: usize| {
        let head = format!("100644 {}\0", "x".repeat(length - "100644 ".len() - 1 - 20));
        head.into_bytes().into_iter().chain(id.clone()).collect::<Vec<_>>()
    };
    let most = bytes / 64 - 1;
    let bytes = [entry(64).repeat(most), entry(bytes - 64 * most)].concat();
    repo.git(&["hash-object", "-w", "-t", "tree", "--literally", "--stdin"], &bytes)
}

#[tokio::test]
async fn a_large_commit_and_a_large_tree_are_named_with_their_size_and_the_limit() {
    for git in BOTH {
        let lab = Lab::of(git);
        let repo = lab.repo();
        let empty = repo.tree(&[]);
        let message = "x".repeat(2 << 20);
        let commit = repo.git(&["commit-tree", "-F", "-", &empty], message.as_bytes());
        repo.git(&["update-ref", "refs/heads/large", &commit], b"");
        let large = large_tree(&repo, (32 << 20) + 1);
        let dir = |inside: &str| repo.tree(&[("40000", b".tekton", inside)]);
        let root = repo.commit("root", &large);
        let directory = repo.commit("directory", &dir(&large));
        let below = repo.commit("below", &dir(&repo.tree(&[("40000", b"sub", &large)])));
        let (_server, http) = lab.serve(Some(TOKEN));
        for url in [http, lab.file_url()] {
            for (commit, place, limit) in [
                (&commit, "the commit itself, with its message: 2097", "at most 1048576 allowed"),
                (&root, "the tree of its root: 33554433 bytes", "at most 33554432 allowed"),
                (
                    &directory,
                    "the tree of the directory: 33554433 bytes",
                    "at most 33554432 allowed",
                ),
                (&below, "the tree of sub: 33554433 bytes", "at most 33554432 allowed"),
            ] {
                let error = lab.tree(&query(&url, commit, ".tekton")).await.unwrap_err();
                assert_eq!(error.kind(), ForgeErrorKind::TooLarge, "{error:?}");
                let text = error.to_string();
                assert!(text.contains(place) && text.contains(limit), "{text}");
            }
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
    let tree = repo.commit("tree", &large_tree(&repo, 32 << 20));
    let error = lab.tree(&query(&lab.file_url(), &tree, ".tekton")).await.unwrap_err();
    assert!(!error.to_string().contains("the tree of"), "its weight is no reason: {error}");
}

#[tokio::test]
async fn no_file_of_a_fetch_may_take_more_than_half_of_the_room_that_is_left() {
    let spy = tempfile::tempdir().unwrap();
    let seen = spy.path().join("seen");
    // A limit is set as soon as the program runs.
    let note = format!(
        r#"if [ "$1" = fetch ]; then
            while [ "$(ulimit -f)" = unlimited ]; do :; done; ulimit -f >> {}; fi"#,
        seen.display()
    );
    let lab = Lab::around_git(spy.path(), &note);
    let sha = lab.repo().commit_files("main", &[(".tekton/a.yaml", b"a: 1\n")]);
    let mut query = query(&lab.file_url(), &sha, ".tekton");
    query.limits.repo_bytes = 8 << 20;
    lab.tree(&query).await.unwrap();
    // A shell tells it in blocks of 512 bytes; what is there before is a few of them.
    let blocks = std::fs::read_to_string(seen).unwrap();
    let blocks: Vec<u64> = blocks.lines().map(|blocks| blocks.parse().unwrap()).collect();
    let half = (4 << 20) / 512;
    assert!(blocks.iter().all(|blocks| (half - 16..=half).contains(blocks)), "{blocks:?}");
}

#[tokio::test]
async fn a_fetch_that_took_more_than_the_room_is_too_large_though_it_succeeded() {
    for (more, kind) in [(0, ForgeErrorKind::NoCommit), (1, ForgeErrorKind::TooLarge)] {
        let place = tempfile::tempdir().unwrap();
        let fill = r#"if [ "$1" = fetch ]; then
            left=$((1048576 - $(find "$GIT_DIR/.." -type f -exec cat {} + | wc -c)))
            head -c $((left / 2)) /dev/zero > "$GIT_DIR/a"
            head -c $((left / 2)) /dev/zero > "$GIT_DIR/b""#;
        let rest =
            format!(r#"head -c $((left % 2 + {more})) /dev/zero > "$GIT_DIR/c"; exit 0; fi"#);
        let lab = Lab::around_git(place.path(), &format!("{fill}\n{rest}"));
        let sha = lab.repo().commit_files("main", &[(".tekton/a.yaml", b"a: 1\n")]);
        let mut query = query(&lab.file_url(), &sha, ".tekton");
        query.limits.repo_bytes = 1 << 20;
        let error = lab.tree(&query).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{more} bytes too many: {error:?}");
    }
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
        let error = changes(&lab, &lab.file_url(), &"1".repeat(40), &sha).await.unwrap_err();
        assert_eq!(
            error.kind(),
            ForgeErrorKind::Unsupported,
            "what changed is not worth a failure"
        );
        assert!(error.to_string().contains("too large to list its changes"), "{error}");
    }
}
