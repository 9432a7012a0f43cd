//! What one directory of a large repository costs by each way of fetching it: `cargo bench -p sentry-forge`.
//! `SENTRY_BENCH_MIB` sets the repository's size, 100 by default. Children are the programs that
//! whoever fetches starts itself; those start more.
#![expect(clippy::print_stdout, reason = "the table is what the program is for")]
#![expect(clippy::unwrap_used, reason = "a measurement that fails has nothing better to do")]

#[expect(dead_code, reason = "shared with the tests, which use the rest")]
#[path = "../tests/git/support/repo.rs"]
mod repo;
#[expect(dead_code, reason = "shared with the tests, which use the rest")]
#[path = "../tests/git/support/server.rs"]
mod server;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use repo::{Repo, noise};
use sentry_core::forge::{TreeLimits, TreeQuery};
use sentry_core::repo::RepoUrl;
use sentry_core::secret::Redactor;
use sentry_core::testing::sample;
use sentry_forge::git::{Transport, TransportSettings};
use sentry_forge::http::{Http, HttpSettings};
use server::GitServer;

fn main() {
    let dir = tempfile::tempdir().unwrap();
    let mib: usize = std::env::var("SENTRY_BENCH_MIB").map_or(100, |n| n.parse().unwrap());
    let (repo, first, second) = repository(dir.path(), mib);
    let server = GitServer::start(dir.path(), None);
    let url: RepoUrl = format!("{}/b.git", server.url).parse().unwrap();
    let minimal = minimal_pack(&repo, &first);
    println!(
        "{mib} MiB of noise in {} files; the directory's own pack: {minimal} bytes\n",
        mib * 16
    );
    println!(
        "{:52} {:>12} {:>9} {:>8} {:>8} {:>9}",
        "way", "bytes", "× pack", "requests", "ms", "children"
    );
    let (counted, starts) = counted_git(dir.path());
    let children = || std::fs::read_to_string(&starts).unwrap().lines().count();
    let measure = |way: &str, run: &mut dyn FnMut()| {
        server.take_log();
        let (begin, before) = (Instant::now(), children());
        run();
        let ms = begin.elapsed().as_millis();
        let children = children() - before;
        let log = server.take_log();
        let bytes: usize = log.iter().map(|exchange| exchange.bytes).sum();
        let times = bytes as f64 / minimal as f64;
        println!("{way:52} {bytes:12} {times:9.2} {:8} {ms:8} {children:9}", log.len());
    };

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let http = Http::new(&HttpSettings::new(Redactor::new())).unwrap();
    for (who, mut settings) in [
        ("within", TransportSettings::within(&http)),
        ("program", TransportSettings::new(http.settings().clone())),
    ] {
        settings.git.clone_from(&counted);
        let transport = Transport::new(settings);
        let fetch = |sha: &str| {
            let tree = runtime.block_on(transport.tree(&query(&url, sha), None)).unwrap();
            assert_eq!(tree.files.len(), 32);
        };
        measure(&format!("sentry, {who}, cold"), &mut || fetch(&first));
        measure(&format!("sentry, {who}, next commit, directory unchanged"), &mut || {
            fetch(&second)
        });
    }
    measure("git clone --depth 1", &mut || {
        git(&counted, dir.path(), &["clone", "-q", "--depth", "1", url.as_str(), "shallow"]);
    });
    measure("git clone --filter=blob:none, sparse checkout", &mut || {
        sparse_clone(&counted, dir.path(), &url);
    });
}

fn sparse_clone(program: &Path, dir: &Path, url: &RepoUrl) {
    let clone = ["clone", "-q", "--depth", "1", "--filter=blob:none", "--sparse"];
    git(program, dir, &[&clone[..], &[url.as_str(), "sparse"]].concat());
    git(program, &dir.join("sparse"), &["sparse-checkout", "set", ".tekton"]);
}

/// A git that notes in a file that it was started.
fn counted_git(dir: &Path) -> (PathBuf, PathBuf) {
    let (git, starts) = (dir.join("counted-git"), dir.join("starts"));
    let text = format!("#!/bin/sh\necho x >> {}\nexec git \"$@\"\n", starts.display());
    std::fs::write(&git, text).unwrap();
    std::fs::set_permissions(&git, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::write(&starts, "").unwrap();
    (git, starts)
}

fn query(url: &RepoUrl, sha: &str) -> TreeQuery {
    TreeQuery {
        repo: url.clone(),
        revision: sample::at("main", sha),
        dir: ".tekton".parse().unwrap(),
        limits: TreeLimits::default(),
        timeout: Duration::from_secs(60),
    }
}

/// Two commits: 32 manifests in `.tekton` beside `mib` MiB of noise; the second one touches only the noise.
fn repository(root: &Path, mib: usize) -> (Repo, String, String) {
    let repo = Repo::new(root, "b.git");
    repo.config("core.compression", "0");
    let mut files: Vec<(String, Vec<u8>)> = (0..32u64)
        .map(|n| {
            let script: String = noise(3000, n + 1).iter().map(|b| format!("{b:02x}")).collect();
            let text = format!(
                "apiVersion: tekton.dev/v1\nkind: Task\nmetadata:\n  name: t{n}\n# {script}\n"
            );
            (format!(".tekton/task-{n}.yaml"), text.into_bytes())
        })
        .collect();
    for n in 0..mib * 16 {
        files
            .push((format!("data/{}/{}/{n}.bin", n % 20, n % 7), noise(64 << 10, 1000 + n as u64)));
    }
    let commit = |files: &[(String, Vec<u8>)]| {
        let files: Vec<_> =
            files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())).collect();
        repo.commit_files("main", &files)
    };
    let first = commit(&files);
    files.push(("data/new.bin".into(), noise(100, 7)));
    let second = commit(&files);
    (repo, first, second)
}

/// The bytes of a pack with the directory's objects and the commit, its root tree included: no way needs less.
fn minimal_pack(repo: &Repo, sha: &str) -> usize {
    let objects =
        repo.git(&["rev-list", "--objects", "--no-object-names", &format!("{sha}:.tekton")], b"");
    let root = repo.git(&["rev-parse", &format!("{sha}^{{tree}}")], b"");
    let list = format!("{sha}\n{root}\n{objects}\n");
    repo.git(&["pack-objects", "-q", "--delta-base-offset", "minimal"], list.as_bytes());
    let packs = std::fs::read_dir(&repo.path).unwrap().map(|entry| entry.unwrap());
    let pack =
        packs.into_iter().find(|entry| entry.path().extension().is_some_and(|ext| ext == "pack"));
    usize::try_from(pack.unwrap().metadata().unwrap().len()).unwrap()
}

fn git(program: &Path, dir: &Path, args: &[&str]) {
    let status = Command::new(program)
        .args(args)
        .current_dir(dir)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("NO_PROXY", "127.0.0.1")
        .status()
        .unwrap();
    assert!(status.success(), "git {args:?}");
}
