//! Private servers' certificates of every kind, as files to trust: what curl and git take is taken, what they refuse is
//! refused with the reason, and a file that can't be one is named before anything is asked.

use std::path::Path;
use std::process::Command;

use sentry_tests::certificates::{Kind, kinds};
use sentry_tests::gitserver::{GitOptions, GitServer};
use sentry_tests::repo::BareRepo;
use sentry_tests::road::{Fetch, TREE};
use sentry_tests::sandbox::{Output, Sandbox};
use serde_json::Value;
use tempfile::TempDir;

/// What `validate --online` found out: whether our client read the heads, and whether the directory was read.
#[derive(Debug, PartialEq, Eq)]
struct Reached {
    heads: bool,
    tree: bool,
}

fn configure(sandbox: &Sandbox, url: &str, ca_file: &Path, fetch: Fetch) {
    sandbox.write_config(&format!(
        "forges: {{own: {{type: git, ca_file: '{}'{fetch}}}}}\nwatches:\n  - name: qa\n    \
         source: {{url: '{url}', branches: main}}\n    manifests: {{url: '{url}', branch: main}}\n    \
         cluster: {{context: default, namespace: qa, deployer: dry-run}}\n",
        ca_file.display(),
        fetch = fetch.settings()
    ));
}

fn online(sandbox: &Sandbox) -> (Reached, String) {
    let Output { stdout, stderr, .. } =
        sandbox.sentry(["validate", "--online", "--output", "json"]);
    let found: Value =
        serde_json::from_str(&stdout).unwrap_or_else(|e| panic!("{e}: {stdout}{stderr}"));
    let checks = found["checks"].as_array().unwrap();
    let passed = |what: &str| {
        let mut all = checks
            .iter()
            .filter(|check| check["check"].as_str().unwrap().contains(what))
            .peekable();
        assert!(all.peek().is_some(), "no check {what}: {stdout}");
        all.all(|check| check["result"] == "ok")
    };
    let tree = checks.iter().any(|check| check["check"] == "manifests pass lint")
        && passed("manifests pass lint");
    (Reached { heads: passed("repository readable"), tree }, stdout)
}

/// What curl and git themselves do with the server and the file.
fn others(url: &str, ca_file: &Path) -> Reached {
    let run = |program: &mut Command| {
        program
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", "/nonexistent")
            .output()
            .unwrap()
    };
    let curl = run(Command::new("curl")
        .args(["-s", "--cacert"])
        .arg(ca_file)
        .arg(format!("{url}/info/refs?service=git-upload-pack")));
    let trust = format!("http.sslCAInfo={}", ca_file.display());
    let git = run(Command::new("git").args(["-c", &trust, "ls-remote", url]));
    Reached { heads: curl.status.success(), tree: git.status.success() }
}

#[test]
fn a_certificate_that_curl_and_git_take_is_taken_and_what_they_refuse_is_refused_with_its_reason() {
    let repos = TempDir::new().unwrap();
    BareRepo::create(repos.path(), "a.git").commit("main", TREE, "first");
    let reasons = [
        ("self-signed, ended", "expired"),
        ("self-signed, not begun", "not valid yet"),
        ("self-signed, for another name", "for other names"),
        ("self-signed, for clients", "not for servers"),
        ("another authority", "signed by an untrusted CA"),
    ];
    let mut taken = 0;
    for Kind { name, trusted, server } in kinds() {
        let server = GitServer::start(repos.path(), GitOptions::default(), Some(server));
        let url = server.url("a.git").replace("127.0.0.1", "localhost");
        let sandbox = Sandbox::new();
        let file = sandbox.write("trusted.pem", &trusted);
        let others = others(&url, &file);
        configure(&sandbox, &url, &file, Fetch::Program);
        let (by_program, told) = online(&sandbox);
        // What our client refuses git is not asked for.
        let expected = Reached { heads: others.heads, tree: others.heads && others.tree };
        assert_eq!(by_program, expected, "{name}: {told}");
        configure(&sandbox, &url, &file, Fetch::Within);
        let (reached, told) = online(&sandbox);
        let expected = Reached { heads: others.heads, tree: others.heads };
        assert_eq!(reached, expected, "{name}: {told}");
        match reasons.iter().find(|(kind, _)| *kind == name) {
            Some((_, reason)) => {
                assert!(
                    !reached.heads && told.contains(reason) && told.contains("\"remedy\""),
                    "{name}: {told}"
                );
            }
            None => {
                // git's TLS alone does not take a server's own certificate that comes with others.
                assert!(reached.heads, "{name}: {told}");
                taken += 1;
            }
        }
    }
    println!(
        "{} kinds of certificates by a real server, as curl and git have them: {taken} taken",
        kinds().len()
    );
}

#[test]
fn a_file_that_holds_no_certificates_to_trust_is_named_before_anything_is_asked() {
    let kind = kinds().remove(0);
    let pem = String::from_utf8(kind.trusted).unwrap();
    let der = |pem: &str| {
        use base64::Engine as _;
        let digits: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        base64::engine::general_purpose::STANDARD.decode(digits).unwrap()
    };
    let utf16: Vec<u8> =
        [0xff, 0xfe].into_iter().chain(pem.encode_utf16().flat_map(u16::to_le_bytes)).collect();
    let key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    for (bytes, expected) in [
        (Vec::new(), "is empty"),
        (b"\n \n".to_vec(), "is empty"),
        (der(&pem), "is DER, not PEM"),
        (key.into(), "contains no certificate, but a PRIVATE KEY"),
        (pem.replace("CERTIFICATE", "TRUSTED CERTIFICATE").into(), "only OpenSSL knows"),
        (pem[..pem.len() / 2].into(), "without an end marker"),
        (pem.replacen("MII", "?II", 1).into(), "not valid base64"),
        (pem.replacen("MII", "AAA", 1).into(), "an invalid certificate"),
        (utf16, "is UTF-16 text"),
        (b"<html>404</html>".to_vec(), "contains no PEM certificate"),
    ] {
        let sandbox = Sandbox::new();
        let file = sandbox.write("trusted.pem", &bytes);
        configure(&sandbox, "https://git.example.com/a/b", &file, Fetch::Within);
        let refused = sandbox.sentry(["validate"]);
        assert_eq!(refused.code, Some(2), "{expected}: {refused:?}");
        assert!(
            refused.stderr.contains(expected) && refused.stderr.contains("ca_file"),
            "{refused:?}"
        );
    }
    // What has ended is no reason not to start; a mark of an editor is none either.
    for kind in kinds().into_iter().filter(|kind| kind.name == "self-signed, ended") {
        let sandbox = Sandbox::new();
        let marked = [&b"\xef\xbb\xbf"[..], pem.as_bytes(), &kind.trusted].concat();
        let file = sandbox.write("trusted.pem", &marked);
        configure(&sandbox, "https://git.example.com/a/b", &file, Fetch::Within);
        let valid = sandbox.sentry(["validate"]);
        assert_eq!(valid.code, Some(0), "{valid:?}");
        assert!(
            valid.stderr.contains("contains an expired certificate: CN=localhost"),
            "{valid:?}"
        );
    }
}
