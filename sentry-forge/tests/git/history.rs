//! Commits that are no heads any more, on servers that give out heads alone, and on others.

use std::time::Duration;

use sentry_core::forge::{Base, ChangesQuery, ForgeError, ForgeErrorKind, Source as _, TreeQuery};
use sentry_core::repo::RepoUrl;
use sentry_core::retry::Retry;
use sentry_core::testing::sample;
use tempfile::TempDir;

use crate::support::lab::{Git, Lab, TOKEN, query};
use crate::support::repo::{Repo, noise};
use crate::support::server::GitServer;

/// How a repository is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// HTTP with protocol 2: any commit is given out.
    Http,
    /// The same, without a program.
    Within,
    /// HTTP with the first protocol: heads alone, and parts of them.
    OldHttp,
    /// The same, and no parts.
    OldHttpWhole,
    /// The same over ssh.
    Ssh,
    SshWhole,
    /// HTTP with the first protocol, whose owner allows what heads lead to: commits, and no trees.
    Reachable,
    File,
}

const WAYS: [Way; 8] = [
    Way::Http,
    Way::Within,
    Way::OldHttp,
    Way::OldHttpWhole,
    Way::Ssh,
    Way::SshWhole,
    Way::Reachable,
    Way::File,
];

struct Place {
    lab: Lab,
    repo: Repo,
    url: RepoUrl,
    server: GitServer,
    _ssh: TempDir,
}

fn place(way: Way) -> Place {
    let ssh = tempfile::tempdir().unwrap();
    let lab = match way {
        Way::Ssh | Way::SshWhole => Lab::with_ssh(ssh.path()),
        Way::Http => Lab::of(Git::Program),
        // What speaks the first protocol alone is left to the program.
        _ => Lab::of(Git::Within),
    };
    let repo = lab.repo();
    if matches!(way, Way::OldHttpWhole | Way::SshWhole) {
        repo.config("uploadpack.allowFilter", "false");
    }
    if way == Way::Reachable {
        repo.config("uploadpack.allowReachableSHA1InWant", "true");
    }
    let (server, http) = lab.serve(Some(TOKEN));
    if !matches!(way, Way::Http | Way::Within | Way::File) {
        server.speak_the_first_protocol();
    }
    let url = match way {
        Way::Ssh | Way::SshWhole => lab.ssh_url(),
        Way::File => lab.file_url(),
        _ => http,
    };
    Place { lab, repo, url, server, _ssh: ssh }
}

impl Place {
    async fn manifest(&self, sha: &str) -> Result<String, ForgeError> {
        let tree = self.lab.tree(&query(&self.url, sha, ".tekton")).await?;
        Ok(String::from_utf8(tree.files[0].bytes.clone()).unwrap())
    }

    async fn message(&self, sha: &str) -> Result<String, ForgeError> {
        let revision = sample::at("main", sha);
        Ok(self.lab.forge.commit(&self.url, &revision).await?.message)
    }

    async fn changed(&self, from: &str, to: &str) -> Result<Vec<String>, ForgeError> {
        let query = ChangesQuery {
            repo: self.url.clone(),
            from: Base::Commit(from.parse().unwrap()),
            to: sample::at("main", to),
            timeout: Duration::from_secs(60),
        };
        Ok(self.lab.forge.changes(&query).await?.paths)
    }
}

#[tokio::test]
async fn a_commit_that_is_no_head_any_more_is_found_in_its_branch_on_every_kind_of_server() {
    for way in WAYS {
        let place = place(way);
        let all = place.repo.history("main", 300, |n| format!("{}", n / 150).into_bytes());
        // The head, one of the first step, one of the second, and the very first, which the last step brings.
        for n in [299, 290, 100, 0] {
            let sha = &all[n];
            let manifest = place.manifest(sha).await;
            assert_eq!(manifest.unwrap(), format!("n: {n}\n"), "{way:?}");
        }
        assert_eq!(place.message(&all[100]).await.unwrap(), "m", "{way:?}");
        let changed = place.changed(&all[10], &all[20]).await.unwrap();
        assert_eq!(changed, [".tekton/a.yaml"], "{way:?}");
        let changed = place.changed(&all[10], &all[299]).await.unwrap();
        assert_eq!(changed, [".tekton/a.yaml", "more"], "{way:?}");
    }
}

#[tokio::test]
async fn a_commit_that_a_tag_leads_to_is_found_on_every_kind_of_server() {
    for way in WAYS {
        let place = place(way);
        let all = place.repo.history("side", 30, |_| b"1".to_vec());
        let (light, object) = (&all[29], &all[28]);
        place.repo.git(&["update-ref", "refs/tags/v1", light], b"");
        place.repo.git(&["tag", "--annotate", "--message", "a tag", "v2", object], b"");
        place.repo.git(&["update-ref", "-d", "refs/heads/side"], b"");
        place.repo.history("main", 1, |_| b"2".to_vec());
        for (tag, sha, n) in [("v1", light, 29), ("v2", object, 28), ("v2", &all[3], 3)] {
            let revision = sample::at(&format!("refs/tags/{tag}"), sha);
            let info = place.lab.forge.commit(&place.url, &revision).await;
            assert_eq!(info.unwrap().message, "m", "{way:?} {tag}");
            let query = TreeQuery { revision, ..query(&place.url, sha, ".tekton") };
            let tree = place.lab.tree(&query).await.unwrap();
            assert_eq!(tree.files[0].bytes, format!("n: {n}\n").as_bytes(), "{way:?} {tag}");
        }
    }
}

#[tokio::test]
async fn a_commit_that_a_force_push_took_away_ends_by_its_name_with_a_remedy() {
    for way in WAYS {
        let place = place(way);
        let gone = place.repo.history("main", 3, |_| b"1".to_vec()).pop().unwrap();
        place.repo.git(&["update-ref", "-d", "refs/heads/main"], b"");
        let kept = place.repo.history("main", 2, |_| b"2".to_vec()).pop().unwrap();
        place.repo.git(&["reflog", "expire", "--expire=now", "--all"], b"");
        place.repo.git(&["gc", "--quiet", "--prune=now"], b"");
        let errors = [
            place.manifest(&gone).await.unwrap_err(),
            place.message(&gone).await.unwrap_err(),
            place.changed(&kept, &gone).await.unwrap_err(),
        ];
        for error in errors {
            assert_eq!(error.kind(), ForgeErrorKind::NoCommit, "{way:?}: {error:?}");
            let (text, hint) = (error.to_string(), error.hint().unwrap());
            assert!(text.contains(&gone) && text.contains("main"), "{way:?}: {text}");
            assert!(hint.contains("sentry trigger"), "{way:?}: {hint}");
            assert_eq!(error.retry(), Retry::Counted, "{way:?}: it may be pushed in a moment");
        }
        let error = place.changed(&gone, &kept).await.unwrap_err();
        assert_eq!(error.kind(), ForgeErrorKind::Unsupported, "{way:?}: {error:?}");
        place.repo.git(&["update-ref", "-d", "refs/heads/main"], b"");
        place.repo.history("other", 1, |_| b"3".to_vec());
        let error = place.manifest(&gone).await.unwrap_err();
        assert_eq!(error.kind(), ForgeErrorKind::NoCommit, "{way:?}: {error:?}");
        assert!(error.to_string().contains("its branch main is gone"), "{way:?}: {error}");
    }
}

#[tokio::test]
async fn a_commit_that_its_branch_does_not_hold_is_told_by_what_was_looked_through() {
    let place = place(Way::OldHttp);
    place.repo.history("main", 3, |_| b"1".to_vec());
    let gone = "1".repeat(40);
    let error = place.manifest(&gone).await.unwrap_err();
    assert_eq!(error.kind(), ForgeErrorKind::NoCommit, "{error:?}");
    assert!(error.to_string().contains("the history of its branch main does not"), "{error}");
    place.repo.git(&["update-ref", "refs/heads/other", "main"], b"");
    place.repo.git(&["update-ref", "-d", "refs/heads/main"], b"");
    let error = place.manifest(&gone).await.unwrap_err();
    assert_eq!(error.kind(), ForgeErrorKind::NoCommit, "{error:?}");
    assert!(error.to_string().contains("its branch main is gone"), "{error}");
}

#[tokio::test]
async fn a_history_is_looked_through_so_far_and_no_further() {
    let place = place(Way::OldHttp);
    let all = place.repo.history("main", 4_200, |_| b"1".to_vec());
    assert_eq!(place.manifest(&all[200]).await.unwrap(), "n: 200\n");
    let error = place.manifest(&all[50]).await.unwrap_err();
    assert_eq!(error.kind(), ForgeErrorKind::NoCommit, "{error:?}");
    assert!(error.to_string().contains("not among the last 4096 commits of main"), "{error}");
}

#[tokio::test]
async fn a_history_that_takes_too_much_room_ends_by_the_limit() {
    for way in [Way::OldHttp, Way::OldHttpWhole] {
        let place = place(way);
        let all = place.repo.history("main", 12, |n| noise(1 << 20, n as u64));
        let mut query = query(&place.url, &all[3], ".tekton");
        query.limits.repo_bytes = 8 << 20;
        let error = place.lab.tree(&query).await.unwrap_err();
        assert_eq!(error.kind(), ForgeErrorKind::TooLarge, "{way:?}: {error:?}");
        assert!(error.to_string().contains("more than the 8388608 bytes"), "{way:?}: {error}");
    }
}

#[tokio::test]
async fn a_server_that_gives_out_no_trees_is_asked_for_whole_commits_from_then_on() {
    let place = place(Way::OldHttp);
    let all = place.repo.history("main", 2, |_| b"1".to_vec());
    assert_eq!(place.manifest(&all[1]).await.unwrap(), "n: 1\n");
    let asked = place.server.take_log().len();
    let again = place.repo.history("main", 3, |_| b"2".to_vec());
    assert_eq!(place.manifest(&again[2]).await.unwrap(), "n: 2\n");
    let log = place.server.take_log();
    assert!(log.len() == 3 && asked > 3, "{asked}: {log:?}");
    // What is asked about the commit alone leaves it so.
    assert_eq!(place.message(&again[2]).await.unwrap(), "m");
    assert_eq!(place.server.take_log().len(), 3);
    let again = place.repo.history("main", 4, |_| b"3".to_vec());
    assert_eq!(place.manifest(&again[3]).await.unwrap(), "n: 3\n");
    assert_eq!(place.server.take_log().len(), 3);
}
