//! The plain-git forge against real repositories: over files, and over a real smart HTTP server.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has to fail")]

mod changes;
mod faults;
mod generated;
mod history;
mod sizes;
mod support {
    pub(crate) mod lab;
    pub(crate) mod repo;
    pub(crate) mod server;
}

use std::os::unix::fs::PermissionsExt as _;

use sentry_core::forge::{ForgeErrorKind, Heads as _, HeadsAnswer, Requests, Source as _};
use sentry_core::repo::RepoUrl;
use sentry_core::secret::Redactor;
use sentry_core::testing::sample;
use sentry_forge::git::{Transport, TransportSettings};
use sentry_forge::http::HttpSettings;
use support::lab::{BOTH, Git, Lab, TOKEN, names, paths, query, refused};
use support::repo::{Repo, noise};

const FILES: &[(&str, &[u8])] = &[
    (".tekton/run.yaml", b"kind: PipelineRun\n"),
    (".tekton/tasks/lint.yml", b"kind: Task\n"),
    (".tekton/README.md", b"read me\n"),
    ("ci/deep/down/x.yaml", b"x: 1\n"),
    ("src/main.rs", b"fn main() {}\n"),
];

#[tokio::test]
async fn one_request_tells_the_heads_of_all_selected_branches() {
    for git in BOTH {
        let lab = Lab::of(git);
        let repo = lab.repo();
        let sha = repo.commit_files("main", FILES);
        for branch in ["release/1.0", "release/2.0", "releases", "feat/x#1", "mainline"] {
            repo.git(&["update-ref", &format!("refs/heads/{branch}"), &sha], b"");
        }
        let (server, url) = lab.serve(Some(TOKEN));
        let heads = lab.heads(&url, &["main", "release/*", "feat/x#1", "gone"]).await.unwrap();
        assert_eq!(names(&heads), ["feat/x#1", "main", "release/1.0", "release/2.0"]);
        assert!(heads.heads.values().all(|head| head.as_str() == sha));
        let log = server.take_log();
        assert_eq!((log.len(), log[0].status), (1, 200), "{log:?}");
        assert_eq!(
            (log[0].method.as_str(), log[0].path.as_str()),
            ("POST", "/b.git/git-upload-pack")
        );
        assert!(log[0].authorization.is_some() && log[0].bytes < 600, "{log:?}");
        assert_eq!(lab.forge.probe(&url).await.unwrap(), 6);

        let again = lab.ask(&url, &["main", "release/*", "feat/x#1", "gone"], Some(&heads)).await;
        assert_eq!(again.unwrap(), HeadsAnswer::NotModified);
        repo.git(&["update-ref", "-d", "refs/heads/main"], b"");
        let HeadsAnswer::Heads(moved) =
            lab.ask(&url, &["main", "release/*"], Some(&heads)).await.unwrap()
        else {
            panic!("a deleted branch is a change");
        };
        assert_eq!(names(&moved), ["release/1.0", "release/2.0"]);
    }
}

#[tokio::test]
async fn a_forges_requests_are_counted() {
    for git in BOTH {
        let lab = Lab::of(git);
        lab.repo().commit_files("main", FILES);
        let (_server, url) = lab.serve(Some(TOKEN));
        assert_eq!(lab.forge.requests(), Requests::default());
        lab.heads(&url, &["main"]).await.unwrap();
        assert_eq!(lab.forge.requests(), Requests { success: 1, ..Requests::default() });
    }
}

#[tokio::test]
async fn a_directory_of_this_machine_is_asked_by_one_program_and_read_in_parts() {
    let spy = tempfile::tempdir().unwrap();
    let seen = spy.path().join("seen");
    let lab = Lab::around_git(spy.path(), &format!(r#"echo "$1" >> {}"#, seen.display()));
    let repo = lab.repo();
    let sha = repo.commit_files("main", FILES);
    repo.git(&["config", "--unset", "uploadpack.allowFilter"], b"");
    lab.heads(&lab.file_url(), &["main"]).await.unwrap();
    assert_eq!(std::fs::read_to_string(&seen).unwrap(), "upload-pack\n");
    lab.tree(&query(&lab.file_url(), &sha, ".tekton")).await.unwrap();
    let fetches = std::fs::read_to_string(&seen).unwrap().matches("fetch\n").count();
    assert_eq!(
        fetches, 2,
        "the commit, then the directory, whatever the repository's own settings"
    );
}

#[tokio::test]
async fn a_directory_of_this_machine_is_asked_without_a_server() {
    let lab = Lab::new();
    let repo = lab.repo();
    let sha = repo.commit_files("main", FILES);
    let heads = lab.heads(&lab.file_url(), &["main"]).await.unwrap();
    assert_eq!(heads.heads[&sample::subject("main")].as_str(), sha);
    let tree = lab.tree(&query(&lab.file_url(), &sha, ".tekton")).await.unwrap();
    assert_eq!(paths(&tree), ["run.yaml", "tasks/lint.yml"]);
    let missing = "file:///nowhere/at/all.git".parse().unwrap();
    let error = lab.heads(&missing, &["main"]).await.unwrap_err();
    assert_eq!(error.kind(), ForgeErrorKind::NotFound, "{error}");
}

#[tokio::test]
async fn a_repository_with_sha_256_is_read_as_well() {
    for git in BOTH {
        let lab = Lab::of(git);
        let repo = Repo::with_format(lab.repos.path(), "b.git", "sha256");
        let root = repo.tree(&[]);
        let sha = repo.commit("main", &root);
        let (_server, url) = lab.serve(Some(TOKEN));
        for url in [url, lab.file_url()] {
            let heads = lab.heads(&url, &["main"]).await.unwrap();
            assert_eq!(heads.heads[&sample::subject("main")].as_str(), sha, "{url}");
            let error = lab.tree(&query(&url, &sha, ".tekton")).await.unwrap_err();
            assert_eq!(error.kind(), ForgeErrorKind::NoDirectory, "{url}");
        }
    }
}

#[tokio::test]
async fn one_directory_takes_a_few_requests_and_the_same_one_at_another_commit_fewer() {
    for git in BOTH {
        let lab = Lab::of(git);
        let repo = lab.repo();
        let first = repo.commit_files("main", FILES);
        let other: Vec<_> = FILES.iter().copied().chain([("src/new.rs", &b"//\n"[..])]).collect();
        let second = repo.commit_files("main", &other);
        let (server, url) = lab.serve(Some(TOKEN));

        let tree = lab.tree(&query(&url, &first, ".tekton")).await.unwrap();
        assert_eq!(paths(&tree), ["run.yaml", "tasks/lint.yml"]);
        assert_eq!(tree.files[0].bytes, b"kind: PipelineRun\n");
        assert_eq!(server.take_log().len(), git.of(3, 4));

        let same = lab.tree(&query(&url, &second, ".tekton")).await.unwrap();
        assert_eq!((same.commit.as_str(), &same.files), (second.as_str(), &tree.files));
        let log = server.take_log();
        assert_eq!(log.len(), git.of(1, 2));
        assert!(git == Git::Program || log[0].bytes < 600, "{log:?}");
    }
}

#[tokio::test]
async fn directories_several_levels_deep_are_walked_on_every_kind_of_server() {
    for git in BOTH {
        for (key, value, first, later) in [
            ("uploadpack.allowFilter", "true", git.of(5, 8), git.of(4, 8)),
            ("uploadpackfilter.tree.maxDepth", "0", git.of(7, 12), git.of(5, 10)),
            ("uploadpack.allowFilter", "false", 2, git.of(1, 2)),
        ] {
            let lab = Lab::of(git);
            let repo = lab.repo();
            repo.config(key, value);
            let (server, url) = lab.serve(Some(TOKEN));
            for (text, requests) in [("x: 1\n", first), ("x: 2\n", later)] {
                let sha = repo.commit_files("main", &[("ci/deep/down/x.yaml", text.as_bytes())]);
                let tree = lab.tree(&query(&url, &sha, "ci/deep/down")).await.unwrap();
                assert_eq!(tree.files[0].bytes, text.as_bytes(), "{key} {value}");
                assert_eq!(server.take_log().len(), requests, "{key} {value}: {text}");
            }
        }
    }
}

#[tokio::test]
async fn directories_side_by_side_are_all_read() {
    let lab = Lab::new();
    let names: Vec<String> = (10..40).map(|n| format!(".tekton/{n}/run.yaml")).collect();
    let files: Vec<_> = names.iter().map(|name| (name.as_str(), &b"a: 1\n"[..])).collect();
    let sha = lab.repo().commit_files("main", &files);
    let tree = lab.tree(&query(&lab.file_url(), &sha, ".tekton")).await.unwrap();
    let wanted: Vec<_> = names.iter().map(|name| name.strip_prefix(".tekton/").unwrap()).collect();
    assert_eq!(paths(&tree), wanted);
}

#[tokio::test]
async fn a_directory_that_is_missing_or_no_directory_is_an_error_and_an_empty_one_is_none() {
    let lab = Lab::new();
    let repo = lab.repo();
    let sha = repo.commit_files("main", FILES);
    let url = lab.file_url();
    for missing in [".nothing", "src/deeper/still", "*", ":(top)src"] {
        let error = lab.tree(&query(&url, &sha, missing)).await.unwrap_err();
        assert_eq!(error.kind(), ForgeErrorKind::NoDirectory, "{missing}");
        assert!(error.to_string().contains("has no directory"), "{error}");
    }
    let empty = lab.tree(&query(&url, &sha, "src")).await.unwrap();
    assert_eq!((empty.files.len(), empty.refused.len()), (0, 0));
    let error = lab.tree(&query(&url, &sha, "src/main.rs/x")).await.unwrap_err();
    assert_eq!(error.kind(), ForgeErrorKind::NoDirectory);
    assert!(error.to_string().contains("src/main.rs is a file (mode 100644)"), "{error}");
    let link = repo.blob(b"/etc");
    let sha = repo.commit("main", &repo.tree(&[("120000", b".tekton", &link)]));
    let error = lab.tree(&query(&url, &sha, ".tekton")).await.unwrap_err();
    assert_eq!(error.kind(), ForgeErrorKind::NoDirectory);
    assert!(error.to_string().contains(".tekton is a symbolic link (mode 120000)"), "{error}");
}

#[tokio::test]
async fn hostile_entries_are_named_and_never_read() {
    for git in BOTH {
        let lab = Lab::of(git);
        let repo = lab.repo();
        let (good, link) = (repo.blob(b"a: 1\n"), repo.blob(b"/etc/passwd"));
        let attributes = repo.blob(b"*.yaml export-subst filter=evil\n");
        let up = repo.tree(&[("100644", b"up.yaml", &good)]);
        let dir = repo.tree(&[
            ("40000", b"..", &up),
            ("100644", b".gitattributes", &attributes),
            ("100644", b".gitmodules", &attributes),
            ("40000", b".git", &up),
            ("100644", b"a/b.yaml", &good),
            ("100644", b"good.yaml", &good),
            ("100664", b"group.yaml", &good),
            ("120000", b"link.yaml", &link),
            ("160000", b"module", &good),
            ("100644", b"\x1b[31mred.yaml", &good),
            ("100644", b"\xff.yaml", &good),
        ]);
        let sha = repo.commit("main", &repo.tree(&[("40000", b".tekton", &dir)]));
        std::fs::create_dir_all(repo.path.join("hooks")).unwrap();
        for hook in ["post-checkout", "reference-transaction", "pre-receive"] {
            let hook = repo.path.join("hooks").join(hook);
            std::fs::write(&hook, format!("#!/bin/sh\ntouch {}/ran\n", lab.repos.path().display()))
                .unwrap();
            let mode = std::fs::Permissions::from_mode(0o755);
            std::fs::set_permissions(&hook, mode).unwrap();
        }
        repo.config(
            "uploadpack.packObjectsHook",
            &format!("touch {}/ran;", lab.repos.path().display()),
        );
        repo.config("uploadpack.advertiseBundleURIs", "true");
        repo.config("bundle.version", "1");
        repo.config("bundle.mode", "all");
        repo.config("bundle.x.uri", &format!("file://{}/ran", lab.repos.path().display()));

        let (_server, url) = lab.serve(Some(TOKEN));
        for url in [url, lab.file_url()] {
            let tree = lab.tree(&query(&url, &sha, ".tekton")).await.unwrap();
            assert_eq!(paths(&tree), ["good.yaml", "group.yaml"]);
            assert_eq!(tree.files[0].bytes, b"a: 1\n");
            let refused = refused(&tree).join("\n");
            for name in
                ["..", ".git", "a/b.yaml", "link.yaml", "module", "\\x1b[31mred.yaml", "\\xff.yaml"]
            {
                assert!(
                    refused.lines().any(|line| line.starts_with(&format!("{name} "))),
                    "{name}: {refused}"
                );
            }
            assert!(!lab.repos.path().join("ran").exists(), "a program of the repository ran");
        }
    }
}

#[tokio::test]
async fn each_limit_ends_the_fetch_by_name_and_leaves_nothing() {
    for git in BOTH {
        let lab = Lab::of(git);
        let repo = lab.repo();
        let noise = noise(3 << 20, 1);
        let many: Vec<_> = (0..3000).map(|n| (format!(".tekton/{n}.yaml"), b"a: 1\n")).collect();
        let many: Vec<(&str, &[u8])> =
            many.iter().map(|(path, b)| (path.as_str(), &b[..])).collect();
        let big = repo.commit_files("big", &[(".tekton/big.yaml", &noise)]);
        let some = repo.commit_files("some", &many[..100]);
        let many = repo.commit_files("many", &many);
        let (_server, url) = lab.serve(Some(TOKEN));
        for url in [url, lab.file_url()] {
            let mut room = query(&url, &big, ".tekton");
            room.limits.repo_bytes = 1 << 20;
            let mut few = query(&url, &some, ".tekton");
            few.limits.entries = 1;
            for (query, part) in [
                (query(&url, &big, ".tekton"), "big.yaml: 3145728 bytes, at most 1048576 allowed"),
                (query(&url, &many, ".tekton"), "has more than 2000 entries"),
                (few, "has more than 1 entries"),
                (room, "takes more than the 1048576 bytes allowed"),
            ] {
                let error = lab.tree(&query).await.unwrap_err();
                assert_eq!(error.kind(), ForgeErrorKind::TooLarge, "{error:?}");
                assert!(error.to_string().contains(part), "{error:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_tree_that_unfolds_without_end_is_too_large() {
    let lab = Lab::new();
    let repo = lab.repo();
    let mut tree = repo.tree(&[("100644", b"a.yaml", &repo.blob(b"a: 1\n"))]);
    for _ in 0..12 {
        let t = tree.as_str();
        tree = repo.tree(&[
            ("40000", b"a", t),
            ("40000", b"b", t),
            ("40000", b"c", t),
            ("40000", b"d", t),
        ]);
    }
    let sha = repo.commit("main", &repo.tree(&[("40000", b".tekton", &tree)]));
    let error = lab.tree(&query(&lab.file_url(), &sha, ".tekton")).await.unwrap_err();
    assert_eq!(error.kind(), ForgeErrorKind::TooLarge, "{error:?}");
}

#[tokio::test]
async fn a_commit_that_the_server_does_not_have_is_not_found_by_its_name() {
    for git in BOTH {
        let lab = Lab::of(git);
        let repo = lab.repo();
        repo.commit_files("main", FILES);
        let (_server, url) = lab.serve(Some(TOKEN));
        let gone = "1".repeat(40);
        for url in [url, lab.file_url()] {
            let error = lab.tree(&query(&url, &gone, ".tekton")).await.unwrap_err();
            assert_eq!(error.kind(), ForgeErrorKind::NoCommit, "{error:?}");
            assert!(error.to_string().contains(&gone), "{error}");
        }
    }
}

#[tokio::test]
async fn what_is_no_commit_is_a_wrong_answer_that_says_what_it_is() {
    let lab = Lab::new();
    let repo = lab.repo();
    repo.commit_files("main", FILES);
    let tree = repo.git(&["rev-parse", "main^{tree}"], b"");
    let error = lab.tree(&query(&lab.file_url(), &tree, ".tekton")).await.unwrap_err();
    assert_eq!(error.kind(), ForgeErrorKind::WrongAnswer, "{error:?}");
    assert!(error.to_string().ends_with(&format!("{tree} is a tree, not a commit")), "{error}");
}

#[tokio::test]
async fn a_commits_message_takes_two_requests() {
    for git in BOTH {
        let lab = Lab::of(git);
        let repo = lab.repo();
        let sha = repo.commit("main", &repo.tree(&[]));
        let revision = sample::at("main", &sha);
        let (server, url) = lab.serve(Some(TOKEN));
        let info = lab.forge.commit(&url, &revision).await.unwrap();
        assert_eq!((info.author.as_str(), info.message.as_str()), ("Ada", "say what\n\nand why\n"));
        assert_eq!(server.take_log().len(), 2);
    }
}

#[tokio::test]
async fn a_refused_token_is_unauthorised_and_appears_in_no_text() {
    for git in BOTH {
        let lab = Lab::of(git);
        let repo = lab.repo();
        let sha = repo.commit_files("main", FILES);
        let (_server, url) = lab.serve(Some("another token"));
        let heads = lab.heads(&url, &["main"]).await.unwrap_err();
        let tree = lab.tree(&query(&url, &sha, ".tekton")).await.unwrap_err();
        for error in [heads, tree] {
            assert_eq!(error.kind(), ForgeErrorKind::Unauthorized, "{error:?}");
            assert!(!format!("{error:?}").contains(TOKEN), "{error:?}");
        }
    }
}

#[tokio::test]
async fn names_of_branches_never_become_options() {
    for git in BOTH {
        let lab = Lab::of(git);
        let repo = lab.repo();
        let sha = repo.commit_files("main", FILES);
        let mark = lab.repos.path().join("ran");
        let packed = format!(
            "{sha} refs/heads/--upload-pack=touch {m}\n{sha} refs/heads/-x\n{sha} refs/heads/$(touch {m})\n",
            m = mark.display()
        );
        std::fs::write(repo.path.join("packed-refs"), packed.replace("touch /", "touch${IFS}/"))
            .unwrap();
        for url in [lab.serve(Some(TOKEN)).1, lab.file_url()] {
            let heads = lab.heads(&url, &["*"]).await;
            if let Ok(heads) = heads {
                assert!(names(&heads).iter().all(|name| !name.starts_with('-')), "{heads:?}");
            }
            assert!(!mark.exists());
        }
    }
}

#[tokio::test]
async fn a_token_for_one_server_is_lent_to_its_repositories_alone() {
    let forge = Lab::new().forge.only_for("https://git.example.com:8443");
    for (url, is_lent) in [
        ("https://git.example.com:8443/o/r", true),
        ("https://git.example.com/o/r", false),
        ("https://other.example.com:8443/o/r", false),
    ] {
        match forge.clone_credential(&url.parse().unwrap()).await {
            Ok(lent) => assert!(is_lent && lent.is_some(), "{url}"),
            Err(error) => {
                assert_eq!((error.kind(), is_lent), (ForgeErrorKind::Unsupported, false), "{url}");
                assert!(error.to_string().contains("https://git.example.com:8443,"), "{error}");
            }
        }
    }
}

#[tokio::test]
async fn ssh_takes_a_configured_key_and_nothing_else_does() {
    let lab = Lab::new();
    let sha = lab.repo().commit_files("main", FILES);
    let mut settings = TransportSettings::new(HttpSettings::new(Redactor::new()));
    settings.temp_dir = Some(lab.temp.path().to_owned());
    let transport = Transport::new(settings);
    let read = async |repo: RepoUrl| transport.tree(&query(&repo, &sha, ".tekton"), None).await;
    let error = read(lab.ssh_url()).await.unwrap_err();
    assert_eq!(error.kind(), ForgeErrorKind::Local, "{error}");
    assert!(error.hint().unwrap().contains("set the forge's `ssh`"), "{error:?}");
    assert_eq!(paths(&read(lab.file_url()).await.unwrap()).len(), 2);
}

#[tokio::test]
async fn a_token_is_lent_for_https_alone() {
    let lab = Lab::new();
    let url = |text: &str| text.parse::<sentry_core::repo::RepoUrl>().unwrap();
    let lent =
        lab.forge.clone_credential(&url("https://git.example.com/o/r")).await.unwrap().unwrap();
    assert_eq!((lent.username.as_str(), lent.token.expose()), ("git", TOKEN));
    for other in ["ssh://git@git.example.com/o/r", "file:///srv/r"] {
        assert!(lab.forge.clone_credential(&url(other)).await.unwrap().is_none(), "{other}");
    }
}
