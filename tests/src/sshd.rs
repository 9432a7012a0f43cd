//! A real sshd on 127.0.0.1 with a configuration of the test's own, and keys of every kind by the real ssh-keygen.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::sandbox::eventually;

/// Debian's package openssh-server; it starts itself anew for each connection, so its whole path is needed.
const SSHD: &str = "/usr/sbin/sshd";

/// The server. Stops on drop.
#[derive(Debug)]
pub struct Sshd {
    child: Child,
    port: u16,
    host_key: PathBuf,
}

impl Sshd {
    /// One that lets in the keys of `dir/authorized_keys` and what `more` lines of its configuration say.
    ///
    /// # Panics
    /// When there is no sshd: `scripts/setup` installs it.
    pub fn start(dir: &Path, more: &[&str]) -> Self {
        let port = free_port();
        let name = format!("host-{port}");
        let host_key = keygen(dir, &name, &["-t", "ed25519"]);
        let is_given = more.iter().any(|line| line.starts_with("HostKey "));
        let own =
            if is_given { String::new() } else { format!("HostKey {}\n", host_key.display()) };
        // The first word of each setting counts.
        let config = format!(
            "{}\nPort {port}\nListenAddress 127.0.0.1\n{own}AuthorizedKeysFile {}\nStrictModes no\nUsePAM no\n\
             PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\nPidFile none\n",
            more.join("\n"),
            dir.join("authorized_keys").display(),
        );
        let file = dir.join(format!("sshd-{port}"));
        std::fs::write(&file, config).expect("sshd's configuration is written");
        // Root's sshd wants it; whoever else runs this needs none.
        drop(std::fs::create_dir_all("/run/sshd"));
        let child = Command::new(SSHD)
            .args(["-D", "-e", "-f"])
            .arg(&file)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("sshd runs: scripts/setup installs openssh-server");
        eventually("sshd listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        Self { child, port, host_key }
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its line for a file of known hosts.
    pub fn known_host(&self) -> String {
        known_host(self.port, &self.host_key)
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The line of known hosts that says that a port of this machine has this key.
///
/// # Panics
/// When the key isn't there.
pub fn known_host(port: u16, key: &Path) -> String {
    format!("[127.0.0.1]:{port} {}\n", public(key))
}

/// A key's public half.
///
/// # Panics
/// When it isn't there.
pub fn public(key: &Path) -> String {
    let text = std::fs::read_to_string(key.with_extension("pub")).expect("a public key");
    text.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}

/// A new key `dir/name` without a passphrase, unless the arguments of ssh-keygen give one.
///
/// # Panics
/// When ssh-keygen can't make it.
pub fn keygen(dir: &Path, name: &str, args: &[&str]) -> PathBuf {
    let key = dir.join(name);
    let passphrase: &[&str] = if args.contains(&"-N") { &[] } else { &["-N", ""] };
    let status = Command::new("ssh-keygen")
        .arg("-q")
        .args(args)
        .args(passphrase)
        .arg("-f")
        .arg(&key)
        .status();
    assert!(status.expect("ssh-keygen runs").success(), "{name}");
    key
}

/// Who runs the tests: the only one whom a server without rights lets in.
///
/// # Panics
/// When `id` says nothing.
pub fn user() -> String {
    let output = Command::new("id").arg("-un").output().expect("id runs");
    String::from_utf8(output.stdout).expect("a name").trim().to_owned()
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a port")
        .port()
}
