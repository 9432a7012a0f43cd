//! How git is started: without settings of this machine or the repository, and with limits on everything.

use std::ffi::OsString;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use http::HeaderValue;
use sentry_core::repo::{RepoUrl, Scheme};
use sentry_process::Program;
use tokio::time::Instant;

use super::ls_refs::{AGENT, ANSWER_CAP};
use super::scratch::Scratch;
use super::{SshSettings, TransportSettings};

/// Where Linux systems and macOS keep the certificate authorities that they trust, in one file.
const SYSTEM_ROOTS: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The memory that each git, and each program that it starts, may have, in bytes. Objects are unfolded in memory, and a
/// few kilobytes of a pack may unfold to gigabytes. What it maps of a pack to read it is bounded by the settings.
pub(super) const MEMORY: u64 = 192 << 20;

/// Settings of every git that is started. The environment carries them: no file of settings is read, and none of
/// the repository's own ever exists, because nothing is checked out.
const CONFIG: &[(&str, &str)] = &[
    ("protocol.version", "2"),
    ("protocol.ext.allow", "never"),
    ("core.hooksPath", "/dev/null"),
    ("core.symlinks", "false"),
    ("core.askPass", ""),
    ("credential.helper", ""),
    ("transfer.bundleURI", "false"),
    ("transfer.credentialsInUrl", "die"),
    ("fetch.recurseSubmodules", "false"),
    // Every object asked for is missing here: offering what there is only costs a walk.
    ("fetch.negotiationAlgorithm", "noop"),
    // Always one pack: only a file's size can be capped.
    ("fetch.unpackLimit", "1"),
    ("pack.writeReverseIndex", "false"),
    ("pack.threads", "1"),
    // Larger blobs are streamed, so that one blob can't fill the memory.
    ("core.bigFileThreshold", "8m"),
    // What it keeps of a pack: by default gigabytes.
    ("core.packedGitWindowSize", "1m"),
    ("core.packedGitLimit", "32m"),
    ("core.deltaBaseCacheLimit", "16m"),
    // The directory lives for seconds.
    ("core.fsync", "none"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("remote.origin.promisor", "true"),
    // git would hand the Authorization header to the host it is redirected to.
    ("http.followRedirects", "false"),
    ("http.sslVerify", "true"),
    ("http.userAgent", AGENT),
    // git itself waits for ever.
    ("http.lowSpeedLimit", "1000"),
    ("http.lowSpeedTime", "30"),
];

/// Settings of git's other side, where it runs on this machine.
const SERVER: &str = "\
[safe]
\tdirectory = *
[uploadpack]
\tallowFilter = true
[pack]
\tthreads = 1
\twindowMemory = 16m
[core]
\tbigFileThreshold = 8m
\tpackedGitWindowSize = 1m
\tpackedGitLimit = 32m
\tdeltaBaseCacheLimit = 16m
";

/// The programs that a fetch over HTTP takes. A server may name URLs from which git is to load parts of a pack, asked or
/// not (gitprotocol-v2, "packfile-uris"); without `git-http-fetch` git can't.
pub(super) const HELPERS: &[&str] = &["git", "git-remote-http", "git-remote-https"];

/// A repository and how it is reached.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Remote<'a> {
    pub(crate) settings: &'a TransportSettings,
    pub(crate) repo: &'a RepoUrl,
    pub(crate) authorization: Option<&'a HeaderValue>,
}

impl Remote<'_> {
    /// git in a scratch repository, whose remote `origin` is this one.
    pub(crate) fn git(&self, scratch: &Scratch, deadline: Instant) -> std::io::Result<Program> {
        let mut config: Vec<(String, OsString)> =
            vec![("remote.origin.url".into(), self.repo.as_str().into())];
        let mut program = self.bare(deadline).env("GIT_DIR", scratch.repository());
        match self.repo.scheme() {
            Scheme::Https | Scheme::Http => {
                program = self.network(program, &mut config);
                if scratch.helpers().exists() {
                    program = program.env("GIT_EXEC_PATH", scratch.helpers());
                }
                if let Some(file) = self.roots(scratch)? {
                    config.push(("http.sslCAInfo".into(), file.into()));
                }
            }
            Scheme::Ssh => {
                let ssh = self.settings.ssh.as_ref();
                program = program
                    .env("GIT_SSH_COMMAND", ssh.map_or("false".into(), ssh_command))
                    .env("GIT_SSH_VARIANT", "ssh");
            }
            // The server's side runs here, without the environment's settings: it needs a file of its own.
            Scheme::File => {
                let file = scratch.path().join("server.config");
                if !file.exists() {
                    fs::write(&file, SERVER)?;
                }
                program = program.env("GIT_CONFIG_GLOBAL", file);
            }
        }
        // No `.netrc` and no other file of a person's home is read.
        Ok(with_config(program.env("HOME", scratch.path()).dir(scratch.path()), config))
    }

    /// `git upload-pack` on a repository of this machine: what a server would run, without a server.
    pub(crate) fn upload_pack(&self, path: &Path, deadline: Instant) -> Program {
        let program = self
            .bare(deadline)
            .env("HOME", "/")
            .env("GIT_PROTOCOL", "version=2")
            .dir("/")
            .output_cap(ANSWER_CAP)
            .args(["upload-pack", "--stateless-rpc", "--end-of-options"])
            .arg(path);
        with_config(program, vec![("safe.directory".into(), "*".into())])
    }

    fn bare(&self, deadline: Instant) -> Program {
        program(self.settings)
            .deadline(deadline.saturating_duration_since(Instant::now()))
            .env("LC_ALL", "C")
            .env("LANG", "C")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_ATTR_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_ALLOW_PROTOCOL", self.repo.scheme().as_str())
            .env("GIT_NO_LAZY_FETCH", "1")
            .env("GIT_NO_REPLACE_OBJECTS", "1")
            .env("GIT_LITERAL_PATHSPECS", "1")
    }

    /// The token, for this repository's URL only, and the proxy.
    fn network(&self, program: Program, config: &mut Vec<(String, OsString)>) -> Program {
        if let Some(value) = self.authorization.and_then(|value| value.to_str().ok()) {
            let key = format!("http.{}/.extraHeader", self.repo.origin());
            config.push((key, format!("Authorization: {value}").into()));
        }
        // How long a server asks us to wait is in its headers, which git shows in no other way.
        let program = program.env("GIT_TRACE_CURL", "1").env("GIT_TRACE_CURL_NO_DATA", "1");
        let http = &self.settings.http;
        let Some(proxy) = &http.proxy else { return program.inherit_proxy() };
        config.push(("http.proxy".into(), proxy.as_str().into()));
        let except = http.no_proxy.as_deref().unwrap_or_default();
        program.env("NO_PROXY", except).env("no_proxy", except)
    }

    /// The file with the certificate authorities, where those that curl was built with are not enough: git takes
    /// one file only, so the system's and the configured ones are put together.
    fn roots(&self, scratch: &Scratch) -> std::io::Result<Option<PathBuf>> {
        let chosen = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
        let is_plain = self.settings.http.ca_file.is_none() && chosen.is_none();
        if self.repo.scheme() != Scheme::Https || is_plain {
            return Ok(None);
        }
        let path = scratch.path().join("roots.pem");
        if path.exists() {
            return Ok(Some(path));
        }
        let known = SYSTEM_ROOTS.iter().map(PathBuf::from);
        let system = chosen.into_iter().chain(known).find(|path| path.exists());
        let mut file =
            fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        if let Some(system) = system {
            file.write_all(&fs::read(system)?)?;
            file.write_all(b"\n")?;
        }
        // As it was read, not as it was written: git's TLS stumbles over a byte order mark.
        let extra = self.settings.http.authorities().map_err(std::io::Error::other)?;
        file.write_all(extra.to_pem().as_bytes())?;
        Ok(Some(path))
    }
}

/// git, with no more memory than it may have.
pub(super) fn program(settings: &TransportSettings) -> Program {
    Program::new(&settings.git).memory_cap(MEMORY)
}

fn with_config(program: Program, more: Vec<(String, OsString)>) -> Program {
    let fixed = CONFIG.iter().map(|&(key, value)| (key.to_owned(), OsString::from(value)));
    let all: Vec<_> = fixed.chain(more).collect();
    let program = program.env("GIT_CONFIG_COUNT", all.len().to_string());
    all.into_iter().enumerate().fold(program, |program, (n, (key, value))| {
        program.env(format!("GIT_CONFIG_KEY_{n}"), key).env(format!("GIT_CONFIG_VALUE_{n}"), value)
    })
}

/// ssh with the operator's key and known hosts and nothing else: no settings file, no agent, no question.
fn ssh_command(ssh: &SshSettings) -> OsString {
    let quoted = |path: &Path| format!("'{}'", path.to_string_lossy().replace('\'', r"'\''"));
    format!(
        "ssh -F /dev/null -i {} -o UserKnownHostsFile={} -o GlobalKnownHostsFile=/dev/null \
         -o StrictHostKeyChecking=yes -o BatchMode=yes -o IdentitiesOnly=yes -o IdentityAgent=none \
         -o ForwardAgent=no -o ConnectTimeout=10",
        quoted(&ssh.key_file),
        quoted(&ssh.known_hosts_file),
    )
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_in_the_ssh_command_stays_one_word() {
        let ssh = SshSettings {
            key_file: "/keys/it's $(here)".into(),
            known_hosts_file: "/keys/known hosts".into(),
        };
        let text = ssh_command(&ssh).into_string().unwrap();
        assert!(text.contains(r"-i '/keys/it'\''s $(here)' "), "{text}");
        assert!(text.contains("StrictHostKeyChecking=yes"));
    }

    #[tokio::test]
    async fn the_token_is_for_the_repositorys_own_server_alone() {
        use sentry_process::{Output, stage::Stage};
        let dir = tempfile::tempdir().unwrap();
        let http = crate::http::HttpSettings::new(sentry_core::secret::Redactor::new());
        let settings = TransportSettings::new(http);
        let scratch = Scratch::new(dir.path(), "sha1").unwrap();
        let repo = "https://git.example.com:8443/a/b".parse().unwrap();
        let token = HeaderValue::from_static("Basic c2VjcmV0");
        let remote = Remote { settings: &settings, repo: &repo, authorization: Some(&token) };
        let _stage = Stage::new(|call| {
            let set = call.env.iter().map(|(name, value)| {
                format!("{}={}\n", name.to_string_lossy(), value.to_string_lossy())
            });
            Output::of(0, set.collect::<String>(), "")
        });
        let program = remote.git(&scratch, Instant::now()).unwrap();
        let set = String::from_utf8(program.run().await.unwrap().stdout).unwrap();
        let value = |name: &str| set.lines().find_map(|line| line.strip_prefix(name));
        let held = |n: &usize| {
            value(&format!("GIT_CONFIG_VALUE_{n}=")).is_some_and(|value| value.contains("c2VjcmV0"))
        };
        let keys: Vec<_> = (0..100).filter(held).collect();
        let [n] = keys[..] else { panic!("one setting holds it: {set}") };
        let key = value(&format!("GIT_CONFIG_KEY_{n}="));
        assert_eq!(key, Some("http.https://git.example.com:8443/.extraHeader"));
    }

    #[test]
    fn the_configured_authority_joins_the_systems_in_a_private_file() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let extra = dir.path().join("extra.pem");
        let key = rcgen::KeyPair::generate().unwrap();
        let pem = rcgen::CertificateParams::default().self_signed(&key).unwrap().pem();
        let pem = pem.replace("\r\n", "\n");
        fs::write(&extra, format!("\u{feff}{}", pem.replace('\n', "\r\n"))).unwrap();
        let mut http = crate::http::HttpSettings::new(sentry_core::secret::Redactor::new());
        http.ca_file = Some(extra);
        let settings = TransportSettings::new(http);
        let scratch = Scratch::new(dir.path(), "sha1").unwrap();
        for (url, expected) in
            [("http://127.0.0.1/a/b", false), ("https://git.example.com/a/b", true)]
        {
            let repo = url.parse().unwrap();
            let remote = Remote { settings: &settings, repo: &repo, authorization: None };
            // The second call finds the file of the first.
            remote.roots(&scratch).unwrap();
            assert_eq!(remote.roots(&scratch).unwrap().is_some(), expected, "{url}");
        }
        let plain = TransportSettings::new(crate::http::HttpSettings::new(
            sentry_core::secret::Redactor::new(),
        ));
        let repo = "https://git.example.com/a/b".parse().unwrap();
        let remote = Remote { settings: &plain, repo: &repo, authorization: None };
        let is_chosen = std::env::var_os("SSL_CERT_FILE").map_or("no", |_| "yes");
        assert_eq!(
            remote.roots(&scratch).unwrap().map_or("no", |_| "yes"),
            is_chosen,
            "else git's own are enough"
        );
        let file = scratch.path().join("roots.pem");
        assert!(fs::read_to_string(&file).unwrap().ends_with(&pem));
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
