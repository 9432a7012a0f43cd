//! Files that the configuration names: they must be there, and hold what is said of them. What is wrong is said now, not when
//! a forge or a shell can only say that it does not work.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sentry_core::secret::{FileError, Form, Secret};
use sentry_net::Authorities;

use super::Resolver;
use crate::place::At;

/// How an OpenSSH key begins, inside its base64 (OpenSSH, PROTOCOL.key); the name of its cipher follows.
const OPENSSH: &[u8] = b"openssh-key-v1\0";
const COPY_AGAIN: &str = "copy it again, from -----BEGIN to -----END with the line break after it";
const UNLOCK: &str = "Sentry can't ask for a passphrase: create a key without one, just for Sentry";

/// What is wrong with a file, and the remedy.
type Problem = (String, &'static str);

impl Resolver<'_> {
    /// A file that must be there and be readable.
    pub(super) fn file(&mut self, at: &At<String>) -> PathBuf {
        self.readable(at).unwrap_or_else(|path| path)
    }

    /// `Err` if there is a problem already.
    fn readable(&mut self, at: &At<String>) -> Result<PathBuf, PathBuf> {
        let path = self.path(&at.value);
        let problem = match File::open(&path) {
            Err(error) => Some(format!("can't be read: {error}")),
            Ok(_) if path.is_dir() => Some("is a directory, not a file".to_owned()),
            Ok(_) => None,
        };
        let Some(problem) = problem else { return Ok(path) };
        let hint = "fix the path (relative paths start at the configuration's directory) or the \
                    file's permissions";
        self.report.error(&at.place, problem, hint);
        Err(path)
    }

    /// A file that holds a secret of one word, with that secret where it is one.
    pub(super) fn secret_file(&mut self, at: &At<String>) -> (PathBuf, Option<Secret>) {
        let path = match self.readable(at) {
            Ok(path) => path,
            Err(path) => return (path, None),
        };
        let secret = match Secret::in_file(&path, Form::Word) {
            Ok(secret) => Some(secret),
            Err(error) => {
                self.report.error(&at.place, told(&error), error.hint());
                None
            }
        };
        (path, secret)
    }

    /// The private key of a GitHub App.
    pub(super) fn app_key(&mut self, at: &At<String>) -> PathBuf {
        self.checked(at, |path| private_key(path).err())
    }

    /// The private key for ssh.
    pub(super) fn ssh_key(&mut self, at: &At<String>) -> PathBuf {
        self.checked(at, |path| private_key(path).err().or_else(|| ssh_refuses(path)))
    }

    /// The file with the keys of ssh's servers.
    pub(super) fn known_hosts(&mut self, at: &At<String>) -> PathBuf {
        self.checked(at, |path| {
            let text = String::from_utf8_lossy(&fs::read(path).ok()?).into_owned();
            let is_key =
                |line: &str| !line.starts_with('#') && line.split_whitespace().count() >= 3;
            let hint = "add the server's line: ssh-keyscan HOST, after verifying its fingerprint";
            (!text.lines().any(is_key)).then(|| ("contains no server key".to_owned(), hint))
        })
    }

    /// The file with further certificate authorities.
    pub(super) fn ca_file(&mut self, at: &At<String>) -> PathBuf {
        let path = match self.readable(at) {
            Ok(path) => path,
            Err(path) => return path,
        };
        match Authorities::read(&path) {
            Err(error) => self.report.error(&at.place, error.problem(), error.hint()),
            Ok(authorities) => {
                for one in authorities.ended() {
                    let hint = "remove it, or replace it with its successor";
                    self.report.warn(
                        &at.place,
                        format!("contains an expired certificate: {one}"),
                        hint,
                    );
                }
            }
        }
        path
    }

    fn checked(&mut self, at: &At<String>, check: impl Fn(&Path) -> Option<Problem>) -> PathBuf {
        let path = match self.readable(at) {
            Ok(path) => path,
            Err(path) => return path,
        };
        if let Some((problem, hint)) = check(&path) {
            self.report.error(&at.place, problem, hint);
        }
        path
    }
}

fn told(error: &FileError) -> String {
    match error {
        FileError::Read(cause) => format!("{error}: {cause}"),
        FileError::Odd(oddity) => oddity.to_string(),
    }
}

/// Whether a file holds one private key that needs no passphrase.
fn private_key(path: &Path) -> Result<(), Problem> {
    let key = Secret::in_file(path, Form::Lines).map_err(|error| (told(&error), error.hint()))?;
    let text = key.expose();
    let is_public = ["ssh-", "ecdsa-", "sk-"].iter().any(|start| text.starts_with(start));
    let named = text.split_once("-----BEGIN ").and_then(|(_, rest)| rest.split_once("-----"));
    let (label, rest) = match named {
        _ if is_public => {
            return Err(("is a public key".into(), "use the private key: the file without .pub"));
        }
        _ if text.starts_with("PuTTY-User-Key-File") => {
            let hint = "convert it: puttygen FILE -O private-openssh -o NEW";
            return Err(("is a key in PuTTY's format".into(), hint));
        }
        Some(named) => named,
        None => return Err(("contains no private key".into(), COPY_AGAIN)),
    };
    match label {
        "ENCRYPTED PRIVATE KEY" => return Err(("has a passphrase".into(), UNLOCK)),
        "OPENSSH PRIVATE KEY"
        | "RSA PRIVATE KEY"
        | "EC PRIVATE KEY"
        | "DSA PRIVATE KEY"
        | "PRIVATE KEY" => {}
        _ => return Err(("contains something other than a private key".into(), COPY_AGAIN)),
    }
    let body = rest.split("-----END").next().unwrap_or_default();
    if body.contains("ENCRYPTED") {
        return Err(("has a passphrase".into(), UNLOCK));
    }
    let whole = rest.contains(&format!("-----END {label}-----"));
    let digits: String = body.split_whitespace().collect();
    let der = STANDARD.decode(digits).ok().filter(|der| whole && !der.is_empty());
    let der = der.ok_or(("contains a broken private key".into(), COPY_AGAIN))?;
    if label != "OPENSSH PRIVATE KEY" {
        return Ok(());
    }
    let after =
        der.strip_prefix(OPENSSH).ok_or(("contains a broken private key".into(), COPY_AGAIN))?;
    if after.starts_with(b"\0\0\0\x04none") {
        Ok(())
    } else {
        Err(("has a passphrase".into(), UNLOCK))
    }
}

/// What ssh refuses of a key that is one: seen with OpenSSH 9.
fn ssh_refuses(path: &Path) -> Option<Problem> {
    let (bytes, file) = (fs::read(path).ok()?, fs::metadata(path).ok()?);
    let text = String::from_utf8_lossy(&bytes);
    // Its own form is read to the letter, PEM is not.
    if text.contains("-----BEGIN OPENSSH") {
        if !text.starts_with('-') {
            let hint = "remove everything before -----BEGIN";
            return Some(("does not start with the key: ssh can't read it".into(), hint));
        }
        if text.contains('\r') {
            let hint = "use Unix line endings: tr -d '\\r' < FILE > NEW";
            return Some(("has Windows line endings: ssh can't read it".into(), hint));
        }
        if !text.ends_with('\n') {
            let hint = "add it: echo >> FILE";
            return Some(("has no newline at the end: ssh can't read it".into(), hint));
        }
    }
    let mode = file.permissions().mode() & 0o777;
    // ssh looks at the rights of one's own files only.
    let is_ours = file.uid() == rustix::process::getuid().as_raw();
    (is_ours && mode & 0o077 != 0).then(|| {
        (format!("is accessible to others (mode {mode:04o}): ssh refuses it"), "chmod 600 FILE")
    })
}
