//! The only place that starts a program: no shell, a cleared environment, a process group, a deadline, capped output.
//!
//! ```
//! # async fn version() -> Result<(), sentry_process::ProcessError> {
//! let output = sentry_process::Program::new("git").arg("--version").run().await?;
//! println!("{}", String::from_utf8_lossy(&output.stdout));
//! # Ok(())
//! # }
//! ```

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::fs::{Access, access};
use rustix::process::{Pid, Signal, WaitOptions, kill_process_group, waitpgid};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Child;
use tokio::time::{Instant, timeout_at};

use limits::Limits;

mod limits;
mod lines;
#[cfg(feature = "testing")]
pub mod stage;
#[cfg(test)]
mod tests;
mod workdir;

pub use lines::{End, Lines};
pub use workdir::{Workdir, sweep};

/// Variables that every child gets from our own environment, where they are set.
const INHERITED: &[&str] =
    &["PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR"];
/// Proxy settings, for children that talk to the network.
const PROXY: &[&str] = &[
    "HTTPS_PROXY",
    "https_proxy",
    "HTTP_PROXY",
    "http_proxy",
    "NO_PROXY",
    "no_proxy",
    "ALL_PROXY",
    "all_proxy",
];
/// How long a child has between TERM and KILL.
const TERM_GRACE: Duration = Duration::from_secs(1);
/// How often, and how long apart, a dropped group looks whether the KILL has been carried out.
const REAPING: (u32, Duration) = (100, Duration::from_millis(1));
/// The same for a thread beside it, where a busy system takes longer.
const LATE_REAPING: (u32, Duration) = (1200, Duration::from_millis(50));

/// A program to run, with everything that bounds it.
#[derive(Clone)]
pub struct Program {
    path: PathBuf,
    args: Vec<OsString>,
    env: BTreeMap<OsString, OsString>,
    dir: Option<PathBuf>,
    stdin: Vec<u8>,
    deadline: Duration,
    output_cap: usize,
    limits: Limits,
}

/// What a program that ended by itself left behind.
#[derive(Debug, Clone)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote to stdout.
    pub stdout: Vec<u8>,
    /// What it wrote to stderr, up to 64 KiB and then without its last word; may hold secrets: redact before showing.
    pub stderr: Vec<u8>,
}

impl Output {
    /// stderr as text, odd bytes replaced; may hold secrets: redact before showing.
    #[must_use]
    pub fn stderr_text(&self) -> String {
        String::from_utf8_lossy(&self.stderr).trim().to_owned()
    }
}

/// Why a program has no output. The text names the program, never its arguments' values.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProcessError {
    /// There is no such program, or it may not be run. Retrying does not help.
    #[error("can't start {program}")]
    Start {
        /// The program.
        program: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The system does not let us limit what it may take, so it was killed at once. Retrying does not help: something
    /// that holds this process back, as a seccomp profile does, forbids `prlimit`.
    #[error(
        "can't limit the memory of {program}; allow this process to call prlimit on its children"
    )]
    Limit {
        /// The program.
        program: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It did not end in time and was killed, with everything it had started.
    #[error("{program} did not end within {} s and was killed", deadline.as_secs_f32())]
    Timeout {
        /// The program.
        program: String,
        /// The time it had.
        deadline: Duration,
        /// What it had written to stdout until then.
        stdout: Vec<u8>,
    },
    /// It wrote more to stdout than allowed and was killed.
    #[error("{program} wrote more than {cap} bytes and was killed")]
    TooMuchOutput {
        /// The program.
        program: String,
        /// The bytes it may write.
        cap: usize,
    },
    /// Its pipes broke.
    #[error("lost contact with {program}")]
    Io {
        /// The program.
        program: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl Program {
    /// A program by name (looked up in `PATH`) or path, with a deadline of one minute and 8 MiB of output.
    #[must_use]
    pub fn new(path: impl AsRef<Path>) -> Self {
        let mut env = BTreeMap::new();
        for name in INHERITED {
            if let Some(value) = std::env::var_os(name) {
                env.insert(OsString::from(name), value);
            }
        }
        Self {
            path: path.as_ref().to_owned(),
            args: Vec::new(),
            env,
            dir: None,
            stdin: Vec::new(),
            deadline: Duration::from_secs(60),
            output_cap: 8 << 20,
            limits: Limits::default(),
        }
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets a variable of the child's environment.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.insert(name.into(), value.into());
        self
    }

    /// Hands one of our own variables on, if it is set.
    #[must_use]
    pub fn inherit(mut self, name: &str) -> Self {
        if let Some(value) = std::env::var_os(name) {
            self.env.insert(name.into(), value);
        }
        self
    }

    /// Hands our whole environment on, but what is held back: for programs that people set up by it.
    #[must_use]
    pub fn inherit_all(mut self, is_held_back: impl Fn(&OsStr, &OsStr) -> bool) -> Self {
        self.env.extend(std::env::vars_os().filter(|(name, value)| !is_held_back(name, value)));
        self
    }

    /// Hands our own proxy settings on.
    #[must_use]
    pub fn inherit_proxy(self) -> Self {
        PROXY.iter().fold(self, |program, name| program.inherit(name))
    }

    /// Runs in this directory.
    #[must_use]
    pub fn dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = Some(dir.into());
        self
    }

    /// Writes this to its stdin, then closes it.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// Kills it, and all it started, after this time.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Kills it when it writes more to stdout.
    #[must_use]
    pub fn output_cap(mut self, bytes: usize) -> Self {
        self.output_cap = bytes;
        self
    }

    /// No file that it, or what it starts, writes may grow beyond this (`RLIMIT_FSIZE`).
    #[must_use]
    pub fn file_cap(mut self, bytes: u64) -> Self {
        self.limits.file = Some(bytes);
        self
    }

    /// It, and each process that it starts, may have so much memory of its own (`RLIMIT_DATA`: what is written to, not
    /// files that are mapped to be read). An allocation beyond that fails.
    #[must_use]
    pub fn memory_cap(mut self, bytes: u64) -> Self {
        self.limits.memory = Some(bytes);
        self
    }

    /// Runs it to its end. An exit code other than 0 is no error here.
    ///
    /// Dropping the future kills the program and all it started.
    ///
    /// # Errors
    /// See [`ProcessError`]; only [`ProcessError::Timeout`] and [`ProcessError::Io`] may pass by themselves.
    pub async fn run(self) -> Result<Output, ProcessError> {
        #[cfg(feature = "testing")]
        if let Some(output) = stage::answer(&self) {
            return Ok(output);
        }
        let name = self.path.display().to_string();
        let until = Instant::now() + self.deadline;
        let (mut child, group) = self.start()?;
        let mut stdout = Vec::new();
        let talk = converse(&mut child, &self.stdin, &mut stdout, self.output_cap);
        let result = timeout_at(until, talk).await;
        let error = match result {
            Ok(Ok((status, stderr))) => {
                // Whatever it left running in its group must not outlive it.
                drop(group);
                return Ok(Output { status, stdout, stderr });
            }
            Ok(Err(TalkError::Cap)) => {
                ProcessError::TooMuchOutput { program: name, cap: self.output_cap }
            }
            Ok(Err(TalkError::Io(source))) => ProcessError::Io { program: name, source },
            Err(_) => ProcessError::Timeout { program: name, deadline: self.deadline, stdout },
        };
        if let Some(group) = group {
            group.end(&mut child).await;
        }
        Err(error)
    }

    /// Starts it, with its limits.
    fn start(&self) -> Result<(Child, Option<Group>), ProcessError> {
        let program = || self.path.display().to_string();
        let child =
            self.spawn().map_err(|source| ProcessError::Start { program: program(), source })?;
        // Dropped before the child is, if it comes to that: what has no limits is killed.
        let group = Group::of(&child);
        if let Some(Group(leader)) = &group {
            let limited = self.limits.set(*leader);
            limited.map_err(|source| ProcessError::Limit { program: program(), source })?;
        }
        Ok((child, group))
    }

    /// Where the program is, by the child's own `PATH`: the standard library starts what it has the path of without a copy
    /// of this process's memory map, which takes the longer the more memory there is. What is not found so is left to it.
    fn found(&self) -> PathBuf {
        let is_name = !self.path.as_os_str().as_encoded_bytes().contains(&b'/');
        let dirs = self.env.get(OsStr::new("PATH")).filter(|_| is_name);
        let dirs = dirs.into_iter().flat_map(std::env::split_paths);
        // A relative one is meant from where the child is.
        let mut places = dirs.take_while(|dir| dir.is_absolute()).map(|dir| dir.join(&self.path));
        let runs = |path: &PathBuf| path.is_file() && access(path, Access::EXEC_OK).is_ok();
        places.find(runs).unwrap_or_else(|| self.path.clone())
    }

    fn spawn(&self) -> std::io::Result<Child> {
        let mut command = tokio::process::Command::new(self.found());
        command
            .arg0(&self.path)
            .args(&self.args)
            .env_clear()
            .envs(&self.env)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        if let Some(dir) = &self.dir {
            command.current_dir(dir);
        }
        command.spawn()
    }
}

/// Only what a process list shows anyway: the environment and stdin may hold secrets.
impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Program")
            .field("path", &self.path)
            .field("args", &self.args)
            .finish_non_exhaustive()
    }
}

enum TalkError {
    Cap,
    Io(std::io::Error),
}

/// Feeds stdin and reads both outputs at once, so that neither side can block the other.
async fn converse(
    child: &mut Child,
    stdin: &[u8],
    stdout: &mut Vec<u8>,
    cap: usize,
) -> Result<(ExitStatus, Vec<u8>), TalkError> {
    let (input, output, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let feed = async {
        if let Some(mut pipe) = input {
            // A child that closes its stdin early says why on stderr; that is what counts.
            if pipe.write_all(stdin).await.is_ok() {
                pipe.shutdown().await.ok();
            }
        }
        Ok(())
    };
    let ((), (), (stderr, _)) = tokio::try_join!(
        feed,
        async {
            let more = read_capped(output, stdout, cap).await.map_err(TalkError::Io)?;
            if more { Err(TalkError::Cap) } else { Ok(()) }
        },
        async { read_draining(stderr, 64 << 10).await.map_err(TalkError::Io) },
    )?;
    let status = child.wait().await.map_err(TalkError::Io)?;
    Ok((status, stderr))
}

/// Reads up to `cap` bytes; true if there were more.
async fn read_capped(
    pipe: Option<impl AsyncRead + Unpin>,
    bytes: &mut Vec<u8>,
    cap: usize,
) -> std::io::Result<bool> {
    let Some(pipe) = pipe else { return Ok(false) };
    pipe.take(cap as u64 + 1).read_to_end(bytes).await?;
    let more = bytes.len() > cap;
    bytes.truncate(cap);
    Ok(more)
}

/// Keeps the first `cap` bytes and reads the rest away. The word that was cut is not kept: it may be half a secret, which
/// no redactor knows.
async fn read_draining(
    pipe: Option<impl AsyncRead + Unpin>,
    cap: usize,
) -> std::io::Result<(Vec<u8>, bool)> {
    let Some(mut pipe) = pipe else { return Ok((Vec::new(), false)) };
    let mut bytes = Vec::new();
    let more = read_capped(Some(&mut pipe), &mut bytes, cap).await?;
    if more {
        tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await?;
        end_with_a_word(&mut bytes);
    }
    Ok((bytes, more))
}

/// Takes the last word away, or half of everything if it is all one word.
fn end_with_a_word(bytes: &mut Vec<u8>) {
    let end = bytes.iter().rposition(u8::is_ascii_whitespace).map_or(bytes.len() / 2, |at| at + 1);
    bytes.truncate(end);
}

/// A child's process group. Killing only git's parent leaves its helper alive with the pipes, so the group it is.
/// When dropped, what is left of the group is killed.
#[derive(Debug)]
struct Group(Pid);

impl Group {
    fn of(child: &Child) -> Option<Self> {
        child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw).map(Self)
    }

    /// TERM, a second of grace, KILL; then the child is reaped.
    async fn end(self, child: &mut Child) {
        kill_process_group(self.0, Signal::TERM).ok();
        if tokio::time::timeout(TERM_GRACE, child.wait()).await.is_err() {
            kill_process_group(self.0, Signal::KILL).ok();
            child.wait().await.ok();
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // The group id stays taken while any member lives; with none left the call finds nothing.
        let group = self.0;
        if kill_process_group(group, Signal::KILL).is_ok() && !reap(group, REAPING) {
            let late = std::thread::Builder::new().name("reaper".to_owned());
            if let Err(error) = late.spawn(move || reap(group, LATE_REAPING)) {
                tracing::warn!(%error, "no thread to reap a killed process: it may stay as a \
                                        zombie");
            }
        }
    }
}

/// What a child started falls to us when the child ends, if we are the first process of a container: nobody else would
/// ever wait for it. Everywhere else the system's own first process does, and there is nothing to wait for here. False
/// when some of it is still there after all looks.
fn reap(group: Pid, (looks, pause): (u32, Duration)) -> bool {
    for _ in 0..looks {
        match waitpgid(group, WaitOptions::NOHANG) {
            Ok(Some(_)) => {}
            Ok(None) => std::thread::sleep(pause),
            Err(_) => return true,
        }
    }
    false
}
