//! The stand-ins, as git and Sentry see them.

use std::path::Path;

use sentry_core::clock::{Clock as _, SystemClock};
use sentry_process::Program;
use serde_json::json;
use tempfile::TempDir;

use super::forge::Forge;
use super::repository::Repository;
use super::upload_pack;

const TOKEN: &str = "t0ken";

/// The stdout of a git command that must succeed.
async fn git(dir: &Path, args: &[&str]) -> String {
    let program = Program::new("git").dir(dir).args(args.iter().copied());
    let program = program.env("HOME", dir.as_os_str()).env("GIT_CONFIG_NOSYSTEM", "1");
    let output = program.run().await.unwrap();
    assert!(output.status.success(), "git {args:?}: {}", output.stderr_text());
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// So many that a client which asks for all of them by id sends a long request, which git packs with gzip. Names sort before
/// and after the directories, which git sorts as if they ended in a slash.
fn files() -> Vec<(String, String)> {
    let many = (0..80).map(|n| (format!("dir/sub/{n}"), format!("file {n}\n").repeat(n)));
    let few = ["dir-a", "dir.b", "dir0", "a", "empty/x/y", "dir/sub.x"];
    many.chain(few.map(|name| (name.to_owned(), name.to_owned()))).collect()
}

async fn forge() -> Forge {
    let forge = Forge::start(TOKEN).await.unwrap();
    let files = files();
    let files: Vec<_> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    forge.commit("a", "first", &files[..40]);
    forge.commit("a", "second", &files[40..]);
    forge.commit("a", "third", &[("a", "new")]);
    forge
}

#[tokio::test]
async fn git_clones_the_repository_in_every_way_and_finds_nothing_wrong_with_it() {
    let forge = forge().await;
    let url = forge.url("a");
    let ways: [&[&str]; 8] = [
        &[],
        &["--bare"],
        &["--depth=1"],
        &["--depth=2", "--bare"],
        &["--filter=blob:none"],
        &["--filter=tree:0"],
        &["--filter=tree:1", "--depth=1"],
        &["--filter=tree:2", "--no-checkout"],
    ];
    let mut commits = 3;
    for way in ways {
        let dir = TempDir::new().unwrap();
        git(dir.path(), &[&["clone", "--quiet"][..], way, &[&url, "there"]].concat()).await;
        let there = dir.path().join("there");
        git(&there, &["fsck", "--strict", "--no-dangling"]).await;
        for (path, text) in files() {
            let want = if path == "a" && commits == 3 { "new" } else { text.trim() };
            if path != "a" || commits == 3 {
                let object = format!("HEAD:{path}");
                assert_eq!(
                    git(&there, &["cat-file", "blob", &object]).await,
                    want,
                    "{way:?} {path}"
                );
            }
        }
        // What comes later comes as well, and so does what was left out before.
        let head = forge.commit("a", "later", &[("a", &format!("{way:?}"))]).to_string();
        commits += 1;
        git(&there, &["fetch", "--quiet", "origin", "main"]).await;
        assert_eq!(git(&there, &["rev-parse", "FETCH_HEAD"]).await, head, "{way:?}");
        assert_eq!(git(&there, &["show", "FETCH_HEAD:a"]).await, format!("{way:?}"));
        if way.iter().any(|word| word.starts_with("--depth")) {
            git(&there, &["fetch", "--quiet", "--unshallow", "origin", "main"]).await;
        }
        let count = git(&there, &["rev-list", "--count", "FETCH_HEAD"]).await;
        assert_eq!(count, commits.to_string(), "{way:?}");
        git(&there, &["fsck", "--strict", "--no-dangling"]).await;
    }
}

#[tokio::test]
async fn git_lists_head_and_the_branch_and_nothing_of_a_repository_that_is_not_there() {
    let forge = forge().await;
    let head = forge.commit("a", "last", &[]).to_string();
    let dir = TempDir::new().unwrap();
    for url in [forge.url("a"), forge.url("a.git")] {
        let listed = git(dir.path(), &["ls-remote", "--symref", &url]).await;
        assert_eq!(
            listed,
            format!("ref: refs/heads/main\tHEAD\n{head}\tHEAD\n{head}\trefs/heads/main")
        );
        assert_eq!(git(dir.path(), &["ls-remote", &url, "refs/heads/other"]).await, "");
    }
    let nowhere = Program::new("git").dir(dir.path()).args(["ls-remote", &forge.url("b")]);
    let output = nowhere.env("GIT_TERMINAL_PROMPT", "0").run().await.unwrap();
    assert!(output.stderr_text().contains("not found"), "{}", output.stderr_text());
}

#[test]
fn a_request_that_is_cut_off_or_means_nothing_gets_an_error_in_gits_form() {
    let mut repository = Repository::default();
    let head = repository.commit("first", &[("a", "1")], SystemClock.now());
    let line = |text: &str| format!("{:04x}{text}\n", text.len() + 5);
    let fetch = |arguments: &[&str]| {
        let arguments: String = arguments.iter().map(|text| line(text)).collect();
        format!("{}0001{arguments}0000", line("command=fetch"))
    };
    let want = format!("want {head}");
    let whole = fetch(&[&want, "done"]);
    let is_error = |request: &[u8]| {
        let answer = upload_pack::answer(&repository, request);
        answer.get(4..8) == Some(b"ERR ")
    };
    assert!(!is_error(whole.as_bytes()));
    for end in 0..whole.len() {
        assert!(is_error(&whole.as_bytes()[..end]), "cut at {end}");
    }
    let unknown = format!("want {}", "0".repeat(40));
    for request in [
        fetch(&[&unknown, "done"]),
        fetch(&["want x", "done"]),
        fetch(&["want \u{e9}", "done"]),
        fetch(&[&want, "deepen x"]),
        fetch(&[&want, "filter sparse:oid=x"]),
        fetch(&[&want, "surprise"]),
        format!("{}0000", line("command=push")),
        "0003".to_owned(),
        "zzzz".to_owned(),
    ] {
        assert!(is_error(request.as_bytes()), "{request}");
    }
}

#[tokio::test]
async fn a_status_stands_on_its_commit_until_another_of_its_context_is_set() {
    let forge = forge().await;
    let sha = forge.commit("a", "last", &[]).to_string();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let set = async |sha: &str, token: &str, state: &str, context: &str| {
        let url = format!("{}/api/v1/repos/demo/a/statuses/{sha}", forge.origin());
        let body = json!({"state": state, "context": context, "description": "why"});
        let request = client.post(url).header("authorization", format!("token {token}"));
        request.json(&body).send().await.unwrap().status().as_u16()
    };
    assert_eq!(set(&sha, "guess", "success", "one").await, 401);
    assert_eq!(set(&"0".repeat(40), TOKEN, "success", "one").await, 404);
    assert!(forge.statuses(&sha).is_empty());
    for (state, context) in [("pending", "one"), ("success", "two"), ("failure", "one")] {
        assert_eq!(set(&sha, TOKEN, state, context).await, 201);
    }
    let standing = forge.statuses(&sha);
    let standing: Vec<_> =
        standing.iter().map(|s| (s.context.as_str(), s.state.as_str())).collect();
    assert_eq!(standing, [("one", "failure"), ("two", "success")]);
    let page = client.get(format!("{}/commit/{sha}", forge.url("a"))).send().await.unwrap();
    let page = page.text().await.unwrap();
    assert!(page.contains(&sha) && page.contains("failure  one"), "{page}");
}
