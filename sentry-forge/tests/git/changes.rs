//! What differs between two commits, by their trees alone.

use std::time::Duration;

use sentry_core::forge::{
    Base, ChangedPaths, ChangesQuery, ForgeError, ForgeErrorKind, MAX_CHANGED_PATHS, Source as _,
};
use sentry_core::repo::RepoUrl;
use sentry_core::testing::sample;

use crate::support::lab::{BOTH, Lab, TOKEN, query};
use crate::support::repo::{Repo, noise};

pub(crate) async fn changes(
    lab: &Lab,
    repo: &RepoUrl,
    from: &str,
    to: &str,
) -> Result<ChangedPaths, ForgeError> {
    let query = ChangesQuery {
        repo: repo.clone(),
        from: Base::Commit(from.parse().unwrap()),
        to: sample::at("main", to),
        timeout: Duration::from_secs(60),
    };
    let changes = lab.forge.changes(&query).await;
    assert_eq!(std::fs::read_dir(lab.temp.path()).unwrap().count(), 0, "a fetch left files");
    changes
}

#[tokio::test]
async fn added_changed_deleted_and_renamed_paths_are_told_without_a_file_being_sent() {
    for git in BOTH {
        let lab = Lab::of(git);
        let repo = lab.repo();
        let large = noise(1 << 20, 1);
        let old = repo.commit_files(
            "main",
            &[
                ("same.bin", &large),
                ("src/changed.rs", b"1"),
                ("src/gone.rs", b"2"),
                ("src/old.rs", &large),
            ],
        );
        let new = repo.commit_files(
            "main",
            &[
                ("same.bin", &large),
                ("src/changed.rs", b"2"),
                ("src/new.rs", &large),
                ("docs/ü 1#.md", b"3"),
            ],
        );
        let (server, url) = lab.serve(Some(TOKEN));
        let expected =
            ["docs/ü 1#.md", "src/changed.rs", "src/gone.rs", "src/new.rs", "src/old.rs"];
        let told = changes(&lab, &url, &old, &new).await.unwrap();
        assert_eq!(
            (told.paths.as_slice(), told.truncated),
            (&expected.map(str::to_owned)[..], false)
        );
        let log = server.take_log();
        let bytes: usize = log.iter().map(|exchange| exchange.bytes).sum();
        assert!(log.len() <= 3 && bytes < 10_000, "{log:?}");
        let back = changes(&lab, &url, &new, &old).await.unwrap();
        assert_eq!(back.paths, expected, "the other way round the same differ");
        assert_eq!(changes(&lab, &url, &new, &new).await.unwrap(), ChangedPaths::default());
        assert_eq!(changes(&lab, &lab.file_url(), &old, &new).await.unwrap().paths, expected);
    }
}

#[tokio::test]
async fn commits_without_a_common_past_differ_where_their_trees_do() {
    let lab = Lab::new();
    let repo = lab.repo();
    let one = repo.commit("one", &repo.tree(&[("100644", b"a", &repo.blob(b"1"))]));
    let link = repo.blob(b"/etc/passwd");
    let module = "1".repeat(40);
    let two = repo.tree(&[("120000", b"a", &link), ("160000", b"module", &module)]);
    let two = repo.git(&["commit-tree", "-m", "x", &two], b"");
    repo.git(&["update-ref", "refs/heads/two", &two], b"");
    let told = changes(&lab, &lab.file_url(), &one, &two).await.unwrap();
    assert_eq!(told.paths, ["a", "module"]);
}

#[tokio::test]
async fn a_commit_that_is_gone_tells_nothing_and_a_newer_one_that_is_gone_is_an_error() {
    for git in BOTH {
        let lab = Lab::of(git);
        let here = lab.repo().commit_files("main", &[("a", b"1")]);
        let (_server, url) = lab.serve(Some(TOKEN));
        let gone = "b".repeat(40);
        let error = changes(&lab, &url, &gone, &here).await.unwrap_err();
        assert_eq!(error.kind(), ForgeErrorKind::Unsupported, "{error}");
        assert!(error.to_string().contains("bbbbbbb"), "{error}");
        let error = changes(&lab, &url, &here, &gone).await.unwrap_err();
        assert_eq!(error.kind(), ForgeErrorKind::NoCommit, "{error}");
    }
}

#[tokio::test]
async fn a_server_without_filters_is_asked_for_all_up_to_a_limit() {
    for git in BOTH {
        for (key, value) in
            [("uploadpack.allowFilter", "false"), ("uploadpackfilter.blob:none.allow", "false")]
        {
            let lab = Lab::of(git);
            let repo = lab.repo();
            repo.config(key, value);
            let old = repo.commit_files("main", &[("a", b"1")]);
            let new = repo.commit_files("main", &[("a", b"2")]);
            let large = repo.commit_files("large", &[("a", &noise(git.of(70, 40) << 20, 1))]);
            let (_server, url) = lab.serve(Some(TOKEN));
            assert_eq!(changes(&lab, &url, &old, &new).await.unwrap().paths, ["a"], "{key}");
            let error = changes(&lab, &url, &old, &large).await.unwrap_err();
            assert_eq!(error.kind(), ForgeErrorKind::Unsupported, "{key}: {error}");
        }
    }
}

#[tokio::test]
async fn more_paths_than_are_told_are_cut_and_said_to_be() {
    let lab = Lab::new();
    let repo = lab.repo();
    let names: Vec<String> = (0..=MAX_CHANGED_PATHS).map(|n| format!("f{n:05}")).collect();
    let blob = repo.blob(b"1");
    let all: Vec<_> = names.iter().map(|n| ("100644", n.as_bytes(), blob.as_str())).collect();
    let (old, new) = (repo.commit("main", &repo.tree(&[])), repo.commit("main", &repo.tree(&all)));
    let told = changes(&lab, &lab.file_url(), &old, &new).await.unwrap();
    assert_eq!((told.paths.len(), told.truncated), (MAX_CHANGED_PATHS, true));
    let but_one = repo.commit("main", &repo.tree(&all[1..]));
    let told = changes(&lab, &lab.file_url(), &old, &but_one).await.unwrap();
    assert_eq!((told.paths.len(), told.truncated), (MAX_CHANGED_PATHS, false));
}

#[tokio::test]
async fn a_repository_with_sha_256_is_compared_as_well() {
    let lab = Lab::new();
    let repo = Repo::with_format(lab.repos.path(), "b.git", "sha256");
    let old = repo.commit("main", &repo.tree(&[]));
    let new = repo.commit("main", &repo.tree(&[("100644", b"a", &repo.blob(b"1"))]));
    assert_eq!(changes(&lab, &lab.file_url(), &old, &new).await.unwrap().paths, ["a"]);
}

#[tokio::test]
async fn a_repository_that_has_moved_is_read_where_it_is_now() {
    for git in BOTH {
        let commits = |lab: &Lab| {
            let repo = lab.repo();
            let old = repo.commit_files("main", &[(".tekton/a.yaml", b"a: 1\n")]);
            (old, repo.commit_files("main", &[(".tekton/a.yaml", b"a: 2\n")]))
        };
        let moved =
            |url: &RepoUrl| url.to_string().replace("/b.git", "/moved.git").parse().unwrap();
        let lab = Lab::of(git);
        let (old, new) = commits(&lab);
        let (_server, url) = lab.serve(Some(TOKEN));
        let told = changes(&lab, &moved(&url), &old, &new).await.unwrap();
        assert_eq!(told.paths, [".tekton/a.yaml"]);
        let lab = Lab::of(git);
        let (_, new) = commits(&lab);
        let (_server, url) = lab.serve(Some(TOKEN));
        let tree = lab.tree(&query(&moved(&url), &new, ".tekton")).await.unwrap();
        assert_eq!(tree.files[0].bytes, b"a: 2\n");
        let lab = Lab::of(git);
        let (_, new) = commits(&lab);
        let (_server, url) = lab.serve(Some(TOKEN));
        let revision = sample::at("main", &new);
        assert_eq!(lab.forge.commit(&moved(&url), &revision).await.unwrap().message, "m");
    }
}

#[tokio::test]
async fn a_cut_answer_and_a_refused_token_are_errors() {
    for git in BOTH {
        let lab = Lab::of(git);
        let repo = lab.repo();
        let old = repo.commit_files("main", &[("a", b"1")]);
        let new = repo.commit_files("main", &[("b", b"2")]);
        let (server, url) = lab.serve(Some(TOKEN));
        server.cut_answers_after(300);
        let error = changes(&lab, &url, &old, &new).await.unwrap_err();
        assert_ne!(error.kind(), ForgeErrorKind::Unsupported, "{error}");
        let log = server.take_log();
        assert!(log.len() <= 3, "what has nothing to do with filters is not asked again: {log:?}");
        let (_other, strict) = lab.serve(Some("another-token-entirely"));
        let error = changes(&lab, &strict, &old, &new).await.unwrap_err();
        assert_eq!(error.kind(), ForgeErrorKind::Unauthorized, "{error}");
        assert!(!format!("{error:?}").contains(TOKEN));
    }
}
