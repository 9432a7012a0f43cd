//! What one directory of a large repository costs by each way of fetching it: `cargo bench -p sentry-forge`.
//! `SENTRY_BENCH_MIB` sets the repository's size, 100 by default.
#![expect(clippy::print_stdout, reason = "the table is what the program is for")]
#![expect(clippy::unwrap_used, reason = "a measurement that fails has nothing better to do")]

#[expect(dead_code, reason = "shared with the tests, which use the rest")]
#[path = "../tests/git/support/repo.rs"]
mod repo;
#[expect(dead_code, reason = "shared with the tests, which use the rest")]
#[path = "../tests/git/support/server.rs"]
mod server;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use repo::{Repo, noise};
use sentry_core::forge::{TreeLimits, TreeQuery};
use sentry_core::repo::RepoUrl;
use sentry_core::secret::Redactor;
use sentry_core::testing::sample;
use sentry_forge::git::{Transport, TransportSettings};
use sentry_forge::http::HttpSettings;
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
    println!("{:44} {:>12} {:>9} {:>8} {:>8}", "way", "bytes", "× pack", "requests", "ms");
    let measure = |way: &str, run: &mut dyn FnMut()| {
        server.take_log();
        let begin = Instant::now();
        run();
        let ms = begin.elapsed().as_millis();
        let log = server.take_log();
        let bytes: usize = log.iter().map(|exchange| exchange.bytes).sum();
        let times = bytes as f64 / minimal as f64;
        println!("{way:44} {bytes:12} {times:9.2} {:8} {ms:8}", log.len());
    };

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let transport = Transport::new(TransportSettings::new(HttpSettings::new(Redactor::new())));
    let fetch = |sha: &str| {
        let tree = runtime.block_on(transport.tree(&query(&url, sha), None)).unwrap();
        assert_eq!(tree.files.len(), 32);
    };
    measure("sentry, cold", &mut || fetch(&first));
    measure("sentry, next commit, directory unchanged", &mut || fetch(&second));
    measure("git clone --depth 1", &mut || {
        git(dir.path(), &["clone", "-q", "--depth", "1", url.as_str(), "shallow"]);
    });
    measure("git clone --filter=blob:none, sparse checkout", &mut || {
        let filter = [
            "clone",
            "-q",
            "--depth",
            "1",
            "--filter=blob:none",
            "--sparse",
            url.as_str(),
            "sparse",
        ];
        git(dir.path(), &filter);
        git(&dir.path().join("sparse"), &["sparse-checkout", "set", ".tekton"]);
    });
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

fn git(dir: &Path, args: &[&str]) {
    let status = Command::new("git")
        .args(args)
        .current_dir(dir)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("NO_PROXY", "127.0.0.1")
        .status()
        .unwrap();
    assert!(status.success(), "git {args:?}");
}
