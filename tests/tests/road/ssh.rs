//! Repositories by ssh, with the real ssh and sshd: what git would ask for is asked for, keys of every kind are taken, and what
//! can't work says why.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use sentry_core::repo::RepoUrl;
use sentry_tests::processes::script;
use sentry_tests::repo::BareRepo;
use sentry_tests::road::TREE;
use sentry_tests::sandbox::Sandbox;
use sentry_tests::sshd::{Sshd, keygen, known_host, public, user};
use serde_json::Value;
use tempfile::TempDir;

fn configure(sandbox: &Sandbox, url: &str, key: &Path, known_hosts: &Path) {
    sandbox.write_config(&format!(
        "forges: {{own: {{type: git, ssh: {{key_file: '{}', known_hosts: '{}'}}}}}}\nwatches:\n  - name: qa\n    \
         source: {{url: '{url}', branches: main}}\n    manifests: {{url: '{url}', branch: main}}\n    \
         cluster: {{context: default, namespace: qa, deployer: dry-run}}\n",
        key.display(),
        known_hosts.display()
    ));
}

/// The checks of `validate --online`, by what was checked.
fn checks(sandbox: &Sandbox) -> Vec<Value> {
    let output = sandbox.sentry(["validate", "--online", "--output", "json"]);
    let found: Value =
        serde_json::from_str(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output:?}"));
    found["checks"].as_array().unwrap_or_else(|| panic!("{output:?}")).clone()
}

/// A directory with an `ssh` that only writes down what it is asked to do, and where it writes it.
fn recorder(dir: &Path) -> (PathBuf, PathBuf) {
    let (bin, log) = (dir.join("bin"), dir.join("asked"));
    fs::create_dir(&bin).unwrap();
    let text = format!("#!/bin/sh\nprintf '%s\\n' \"$@\" end >> '{}'\nexit 255\n", log.display());
    script(&bin.join("ssh"), &text);
    (bin, log)
}

/// Whom each call asked for what: the arguments but for settings, which are our own.
fn asked(log: &Path) -> BTreeSet<Vec<String>> {
    let text = fs::read_to_string(log).unwrap_or_default();
    drop(fs::remove_file(log));
    let calls = text.split_terminator("end\n").map(|call| {
        let mut lines = call.lines().map(str::to_owned);
        let mut left = Vec::new();
        while let Some(line) = lines.next() {
            if ["-F", "-i", "-o"].contains(&line.as_str()) {
                lines.next();
            } else {
                left.push(line);
            }
        }
        left
    });
    calls.collect()
}

const ADDRESSES: &[&str] = &[
    "host:path",
    "git@host:path",
    "git@host:group/sub/r.git",
    "git@host:/absolute/r",
    "git@host:~/r",
    "git@host:~ann/r",
    "git@host:/~ann/r",
    "git@host:a%20b",
    "git@host:a%2fb",
    "git@host:a:b",
    "git@host:a#b",
    "git@host:a?b",
    "git@host:a+b",
    "git@host:a~b",
    "git@host:ü",
    "git@host:./r",
    "git@Host.Example:Group/R",
    "git@host:2222/r",
    "git@[::1]:r",
    "git@[::1]:/r",
    "[::1]:r",
    "[host]:r",
    "[host:2222]:r",
    "[git@host:2222]:r",
    "[git@host:2222]:/r",
    "git@[host:2222]:~/r",
    "git@[host]:r",
    "ssh://host/r",
    "ssh://git@host/r",
    "ssh://git@host:2222/r",
    "ssh://git@host:22/r",
    "ssh://git@host/~/r",
    "ssh://git@host/~ann/r",
    "ssh://git@host/a%20b",
    "ssh://git@host//r",
    "ssh://git@[::1]/r",
    "ssh://git@[::1]:2222/r",
    "ssh://git@Host.Example/Group/R",
    "ssh://git@host/r/",
];

#[test]
fn an_address_of_ssh_asks_for_what_git_asks_for() {
    let dir = TempDir::new().unwrap();
    let (bin, log) = recorder(dir.path());
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let key = keygen(dir.path(), "key", &["-t", "ed25519"]);
    let hosts = dir.path().join("hosts");
    fs::write(&hosts, known_host(22, &key)).unwrap();
    let mut sandbox = Sandbox::new();
    sandbox.env("PATH", &path);
    for address in ADDRESSES {
        let theirs = Command::new("git").args(["ls-remote", address]).env("PATH", &path).output();
        assert!(!theirs.unwrap().status.success());
        let theirs = asked(&log);
        assert_eq!(theirs.len(), 1, "{address}: {theirs:?}");
        configure(&sandbox, address, &key, &hosts);
        checks(&sandbox);
        assert_eq!(asked(&log), theirs, "{address}");
        // Who is asked is known without git, too: keys and tokens are for one host.
        let repo: RepoUrl = address.parse().unwrap();
        assert_eq!(repo.as_str(), *address, "nobody rewrites it");
        let is_place = |word: &&String| !word.starts_with('-') && word.parse::<u16>().is_err();
        let place = theirs.iter().flatten().find(is_place);
        let host = place.unwrap().rsplit('@').next().unwrap();
        let ours = repo.host().unwrap().trim_start_matches('[').trim_end_matches(']');
        assert_eq!(ours, host, "{address}");
    }
    println!("{} addresses of ssh: asked for as git asks", ADDRESSES.len());
}

#[test]
fn an_address_that_could_be_an_option_or_leaves_its_place_is_refused() {
    for address in [
        "-oProxyCommand=id:r",
        "ssh://-oProxyCommand=id/r",
        "git@-oProxyCommand=id:r",
        "[-oProxyCommand=id]:r",
        "git@host:",
        "git@host:../r",
        "git@host:a/../r",
        "ssh://git@host/../r",
        "ssh://git@host/a/%2e%2e/r",
        "ssh://git:s3cr3t@host/r",
        ":r",
        "ext::sh",
        "git@host::r",
        "[git@host:22:33]:r",
    ] {
        let refused = address.parse::<RepoUrl>();
        assert!(refused.is_err(), "{address}: {refused:?}");
        assert!(!refused.unwrap_err().to_string().contains("s3cr3t"));
    }
}

#[test]
fn init_writes_an_address_as_it_was_typed_and_the_keys_that_it_needs() {
    let sandbox = Sandbox::new();
    let address = "git@git.example.com:qa/tests.git";
    let made = sandbox.sentry(["init", "--source", address, "--manifests", address]);
    assert_eq!(made.code, Some(0), "{made:?}");
    let text = fs::read_to_string(sandbox.work().join("sentry.yaml")).unwrap();
    assert!(text.contains(&format!("url: \"{address}\"")), "{text}");
    let missing = sandbox.sentry(["validate"]);
    assert_eq!(missing.code, Some(2), "{missing:?}");
    assert!(missing.stderr.contains("forges.git.ssh.key_file"), "{missing:?}");
    // Without keys it could never work.
    let without = text
        .lines()
        .filter(|line| !["ssh:", "key_file", "known_hosts"].iter().any(|key| line.contains(key)));
    sandbox.write_config(&without.collect::<Vec<_>>().join("\n"));
    let keyless = sandbox.sentry(["validate"]);
    assert_eq!(keyless.code, Some(2), "{keyless:?}");
    assert!(
        keyless.stderr.contains("has no ssh keys") && keyless.stderr.contains("key_file"),
        "{keyless:?}"
    );
}

/// A repository, a place for keys, and who may come in.
struct Place {
    dir: TempDir,
    repo: PathBuf,
    user: String,
}

impl Place {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        BareRepo::create(dir.path(), "a.git").commit("main", TREE, "first");
        fs::write(dir.path().join("authorized_keys"), "").unwrap();
        Self { repo: dir.path().join("a.git"), dir, user: user() }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn let_in(&self, key: &Path) {
        let file = fs::OpenOptions::new().append(true).open(self.path().join("authorized_keys"));
        writeln!(file.unwrap(), "{}", public(key)).unwrap();
    }

    /// Asks by a key, a port and what is known of it.
    fn ask(&self, port: u16, key: &Path, known: &str) -> Vec<Value> {
        let hosts = self.path().join("known_hosts");
        fs::write(&hosts, known).unwrap();
        let sandbox = Sandbox::new();
        let url = format!("ssh://{}@127.0.0.1:{port}{}", self.user, self.repo.display());
        configure(&sandbox, &url, key, &hosts);
        checks(&sandbox)
    }
}

/// What a key file may hold in place of a key that opens anything, with its rights, and what is said of it.
fn useless_keys(place: &Place) -> Vec<(String, u32, &'static str)> {
    let good = fs::read_to_string(place.path().join("ed25519")).unwrap();
    let pem = fs::read_to_string(place.path().join("rsa-pem")).unwrap();
    let locked = |name: &str, format: &str| {
        let args = ["-t", "rsa", "-b", "2048", "-m", format, "-N", "s3cr3t-phrase"];
        fs::read_to_string(keygen(place.path(), name, &args)).unwrap()
    };
    vec![
        (locked("locked", "RFC4716"), 0o600, "has a passphrase"),
        (locked("locked-pem", "PEM"), 0o600, "has a passphrase"),
        (locked("locked-pkcs8", "PKCS8"), 0o600, "has a passphrase"),
        (good.clone(), 0o644, "is accessible to others (mode 0644)"),
        (good.trim_end().to_owned(), 0o600, "has no newline at the end"),
        (good.replace('\n', "\r\n"), 0o600, "has Windows line endings"),
        (format!("\u{feff}{good}"), 0o600, "does not start with the key"),
        (good[..good.len() / 2].to_owned(), 0o600, "contains a broken private key"),
        (pem[..pem.len() / 2].to_owned(), 0o600, "contains a broken private key"),
        (public(&place.path().join("ed25519")), 0o600, "is a public key"),
        (String::new(), 0o600, "is empty"),
        ("PuTTY-User-Key-File-3: ssh-ed25519\n".to_owned(), 0o600, "is a key in PuTTY's format"),
        (
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned(),
            0o600,
            "something other than a private key",
        ),
        ("hello\n".to_owned(), 0o600, "contains no private key"),
    ]
}

#[test]
fn keys_of_every_kind_open_a_real_sshd_and_those_that_can_open_none_are_named_at_once() {
    let place = Place::new();
    let authority = keygen(place.path(), "authority", &["-t", "ed25519"]);
    let trusted = format!("TrustedUserCAKeys {}.pub", authority.display());
    let server = Sshd::start(place.path(), &["AcceptEnv GIT_PROTOCOL", &trusted]);
    let kinds: [(&str, &[&str]); 6] = [
        ("ed25519", &["-t", "ed25519"]),
        ("ecdsa", &["-t", "ecdsa"]),
        ("rsa", &["-t", "rsa", "-b", "2048"]),
        ("rsa-pem", &["-t", "rsa", "-b", "2048", "-m", "PEM"]),
        ("rsa-pkcs8", &["-t", "rsa", "-b", "2048", "-m", "PKCS8"]),
        ("certified", &["-t", "ed25519"]),
    ];
    for (name, args) in kinds {
        let key = keygen(place.path(), name, args);
        if name == "certified" {
            let ca = authority.to_str().unwrap();
            let public = key.with_extension("pub");
            let mut sign = Command::new("ssh-keygen");
            sign.args(["-q", "-s", ca, "-I", "qa", "-n", &place.user]).arg(public);
            assert!(sign.status().unwrap().success());
        } else {
            place.let_in(&key);
        }
        let checks = place.ask(server.port(), &key, &server.known_host());
        assert!(checks.iter().all(|check| check["result"] == "ok"), "{name}: {checks:?}");
    }
    let bad = useless_keys(&place);
    let count = bad.len();
    for (text, mode, expected) in bad {
        let key = place.path().join("bad");
        fs::write(&key, text).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        let sandbox = Sandbox::new();
        let hosts = sandbox.write("hosts", server.known_host());
        configure(&sandbox, "ssh://git@127.0.0.1/r", &key, &hosts);
        let refused = sandbox.sentry(["validate"]);
        assert_eq!(refused.code, Some(2), "{expected}: {refused:?}");
        let named =
            refused.stderr.contains(expected) && refused.stderr.contains("forges.own.ssh.key_file");
        assert!(named, "{expected}: {refused:?}");
    }
    println!(
        "{} kinds of keys open a real sshd, {count} that can open none are named by validate",
        kinds.len()
    );
}

#[test]
fn what_ssh_says_of_a_server_that_does_not_let_us_in_is_told_with_its_remedy() {
    let place = Place::new();
    let (key, other) = (
        keygen(place.path(), "key", &["-t", "ed25519"]),
        keygen(place.path(), "other", &["-t", "ed25519"]),
    );
    place.let_in(&key);
    let old = keygen(place.path(), "old", &["-t", "rsa", "-b", "2048"]);
    let old_host = format!("HostKey {}\nHostKeyAlgorithms ssh-rsa", old.display());
    let servers = [
        Sshd::start(place.path(), &["AcceptEnv GIT_PROTOCOL"]),
        Sshd::start(place.path(), &[]),
        Sshd::start(place.path(), &["KexAlgorithms diffie-hellman-group14-sha1"]),
        Sshd::start(place.path(), &["PubkeyAuthentication no", "PasswordAuthentication yes"]),
        Sshd::start(place.path(), &["ForceCommand echo This account is for sftp only >&2; exit 1"]),
        Sshd::start(place.path(), &[&old_host]),
    ];
    for server in &servers[..2] {
        let checks = place.ask(server.port(), &key, &server.known_host());
        assert!(checks.iter().all(|check| check["result"] == "ok"), "{checks:?}");
    }
    for ((port, key, known), (what, quoted, remedy)) in
        ways(&servers, &key, &other).into_iter().zip(SAID)
    {
        let checks = place.ask(port, key, &known);
        let detail = checks[0]["detail"].as_str().unwrap();
        let hint = checks[0]["remedy"].as_str().unwrap_or_default();
        assert!(detail.contains(what) && detail.contains(quoted), "{what}: {detail}");
        assert!(hint.contains(remedy), "{what}: {hint}");
        assert!(!detail.contains("correct access rights") && !detail.contains("@@@"), "{detail}");
    }
}

/// What is said of each, what of ssh is quoted, and the remedy.
const SAID: [(&str, &str, &str); 9] = [
    ("the ssh key is refused", "Permission denied (publickey)", "deploy key"),
    ("host key differs", "has changed", "man-in-the-middle"),
    ("host key is not in the known hosts file", "host key is known for", "ssh-keyscan"),
    ("no ssh key exchange in common", "Their offer: diffie-hellman-group14-sha1", "OpenSSH 9"),
    ("no ssh host key type in common", "Their offer: ssh-rsa", "OpenSSH 9"),
    ("accepts no ssh key for this user", "Permission denied (password", "public keys"),
    ("git failed", "This account is for sftp only", ""),
    ("closes the connection", "kex_exchange_identification", "host and port"),
    ("can't be reached", "Connection refused", "host and port"),
];

/// Each way not to be let in: whom we ask, by which key, and what is known of it.
fn ways<'a>(servers: &[Sshd; 6], key: &'a Path, other: &'a Path) -> [(u16, &'a Path, String); 9] {
    let [full, _, old_kex, password, forced, old_key] = servers;
    let rude = TcpListener::bind("127.0.0.1:0").unwrap();
    let (rude_port, closed) =
        (rude.local_addr().unwrap().port(), TcpListener::bind("127.0.0.1:0").unwrap());
    let closed_port = closed.local_addr().unwrap().port();
    drop(closed);
    std::thread::spawn(move || rude.incoming().for_each(drop));
    let known = full.known_host();
    let changed = known_host(full.port(), other);
    let unknown = known_host(1, other);
    [
        (full.port(), other, known.clone()),
        (full.port(), key, changed),
        (full.port(), key, unknown),
        (old_kex.port(), key, old_kex.known_host()),
        (old_key.port(), key, old_key.known_host()),
        (password.port(), key, password.known_host()),
        (forced.port(), key, forced.known_host()),
        (rude_port, key, known.clone()),
        (closed_port, key, known),
    ]
}
