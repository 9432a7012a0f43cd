//! A home directory and an environment of its own for the `sentry` binary.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::http::lock;
use crate::strace::Strace;

/// How long a command may take before it is killed and the test fails.
const COMMAND_LIMIT: Duration = Duration::from_secs(120);
/// How long [`eventually`] waits: beyond what a loaded machine needs, and the waits that Sentry itself makes between the
/// attempts of a short outage. What comes ends the wait, so only a test that fails takes so long.
const PATIENCE: Duration = Duration::from_secs(120);

/// Waits until the closure is true.
///
/// # Panics
/// When it is still false after two minutes, naming `what`.
#[track_caller]
pub fn eventually(what: &str, is_true: impl FnMut() -> bool) {
    eventually_within(PATIENCE, what, is_true);
}

/// As [`eventually`], with another patience.
///
/// # Panics
/// When it is still false after that.
#[track_caller]
pub fn eventually_within(patience: Duration, what: &str, mut is_true: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_true() {
        assert!(begun.elapsed() < patience, "waited {patience:?} in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// How a command ended.
#[derive(Debug, Clone)]
pub struct Output {
    /// The exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// Its results.
    pub stdout: String,
    /// Its logs.
    pub stderr: String,
}

/// A temporary home in which programs run with a cleared environment.
#[derive(Debug)]
pub struct Sandbox {
    dir: TempDir,
    program: Option<PathBuf>,
    env: BTreeMap<OsString, OsString>,
}

impl Sandbox {
    /// An empty home, for the `sentry` of this build.
    ///
    /// # Panics
    /// When the temporary directory cannot be written.
    #[expect(clippy::new_without_default, reason = "it makes directories: not a default value")]
    pub fn new() -> Self {
        let dir = TempDir::new().expect("a temporary directory");
        let mut env = BTreeMap::new();
        let mut set = |name: &str, value: &OsStr| env.insert(name.into(), value.to_owned());
        set("PATH", &std::env::var_os("PATH").unwrap_or_default());
        set("LC_ALL", OsStr::new("C.UTF-8"));
        set("TZ", OsStr::new("UTC"));
        for (name, place) in [
            ("HOME", "home"),
            ("TMPDIR", "tmp"),
            ("XDG_CONFIG_HOME", "home/.config"),
            ("XDG_STATE_HOME", "home/.local/state"),
            ("XDG_CACHE_HOME", "home/.cache"),
        ] {
            let path = dir.path().join(place);
            std::fs::create_dir_all(&path).expect("a directory of the sandbox");
            set(name, path.as_os_str());
        }
        std::fs::create_dir_all(dir.path().join("work")).expect("a directory of the sandbox");
        Self { dir, program: None, env }
    }

    /// Another program in the place of `sentry`.
    #[must_use]
    pub fn with_program(mut self, program: impl Into<PathBuf>) -> Self {
        self.program = Some(program.into());
        self
    }

    /// The whole sandbox: place repositories and files here.
    pub fn root(&self) -> &Path {
        self.dir.path()
    }

    /// The directory that commands run in; `sentry.yaml` is written here.
    pub fn work(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    /// Sets a variable for the commands to come.
    pub fn env(&mut self, name: &str, value: impl AsRef<OsStr>) -> &mut Self {
        self.env.insert(name.into(), value.as_ref().to_owned());
        self
    }

    /// Unsets a variable for the commands to come.
    pub fn env_remove(&mut self, name: &str) -> &mut Self {
        self.env.remove(OsStr::new(name));
        self
    }

    /// Writes a file below [`Sandbox::work`]; its path.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.work().join(name);
        std::fs::create_dir_all(path.parent().expect("below work")).expect("its directory");
        std::fs::write(&path, content).expect("a file of the sandbox");
        path
    }

    /// Writes `sentry.yaml`, which `sentry` finds there; its path.
    pub fn write_config(&self, yaml: &str) -> PathBuf {
        self.write("sentry.yaml", yaml)
    }

    /// Runs `sentry ARGS` to its end.
    ///
    /// # Panics
    /// When it takes longer than two minutes (it is killed), with what it said so far.
    #[track_caller]
    pub fn sentry<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&self, args: I) -> Output {
        let mut agent = self.spawn(args);
        let status = agent.wait_for_exit(COMMAND_LIMIT);
        agent.output(status)
    }

    /// Starts `sentry ARGS` in the background.
    ///
    /// # Panics
    /// When the program is not there.
    #[track_caller]
    pub fn spawn<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&self, args: I) -> Agent {
        let mut command = Command::new(self.program());
        command.args(args);
        self.start(command)
    }

    /// Starts `sentry ARGS` in the background, seen by strace. Signals to the [`Agent`] reach strace, not `sentry`.
    ///
    /// # Panics
    /// When the program is not there.
    #[track_caller]
    pub fn spawn_under<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(
        &self,
        strace: &Strace,
        args: I,
    ) -> Agent {
        let mut command = Command::new("strace");
        command.args(strace.words()).arg("--").arg(self.program()).args(args);
        self.start(command)
    }

    #[track_caller]
    fn program(&self) -> PathBuf {
        self.program.clone().unwrap_or_else(sentry_binary)
    }

    #[track_caller]
    fn start(&self, mut command: Command) -> Agent {
        let mut child = command
            .env_clear()
            .envs(&self.env)
            .current_dir(self.work())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        let stdout = Gathered::from(child.stdout.take().expect("stdout is piped"));
        let stderr = Gathered::from(child.stderr.take().expect("stderr is piped"));
        Agent { child, stdout, stderr }
    }
}

/// `target/<profile>/sentry`, beside the `deps` directory of the running test.
#[track_caller]
pub fn sentry_binary() -> PathBuf {
    let test = std::env::current_exe().expect("the path of the running test");
    let profile = test.parent().and_then(Path::parent).expect("target/<profile>/deps/test");
    let binary = profile.join(format!("sentry{}", std::env::consts::EXE_SUFFIX));
    assert!(
        binary.is_file(),
        "{} is missing: build it first, with `cargo build` (and the tests' profile)",
        binary.display()
    );
    binary
}

/// What a pipe brought so far, read by a thread so that the writer never waits.
#[derive(Debug)]
struct Gathered {
    text: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Gathered {
    fn from(pipe: impl Read + Send + 'static) -> Self {
        let text = Arc::new(Mutex::new(String::new()));
        let shared = Arc::clone(&text);
        let reader = std::thread::spawn(move || {
            let mut pipe = BufReader::new(pipe);
            let mut line = Vec::new();
            while pipe.read_until(b'\n', &mut line).is_ok_and(|bytes| bytes > 0) {
                lock(&shared).push_str(&String::from_utf8_lossy(&line));
                line.clear();
            }
        });
        Self { text, reader: Some(reader) }
    }

    fn so_far(&self) -> String {
        lock(&self.text).clone()
    }

    /// Everything, unless a grandchild holds the pipe open for longer than is reasonable.
    fn all(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            let begun = Instant::now();
            while !reader.is_finished() && begun.elapsed() < PATIENCE {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        self.so_far()
    }
}

/// A background process. Killed on drop.
#[derive(Debug)]
pub struct Agent {
    child: Child,
    stdout: Gathered,
    stderr: Gathered,
}

impl Agent {
    /// What it logged so far.
    pub fn stderr_so_far(&self) -> String {
        self.stderr.so_far()
    }

    /// What it printed so far.
    pub fn stdout_so_far(&self) -> String {
        self.stdout.so_far()
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has not ended.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("the state of a child").is_none()
    }

    /// Waits until its log contains the text.
    ///
    /// # Panics
    /// When it ended or two minutes passed without, with the log so far.
    #[track_caller]
    pub fn wait_for_log(&mut self, text: &str) {
        let begun = Instant::now();
        loop {
            // Asked before the log is read: what a process wrote before it ended is not missed.
            let over = !self.is_running();
            let log = if over { self.stderr.all() } else { self.stderr.so_far() };
            if log.contains(text) {
                return;
            }
            assert!(!over, "ended without logging {text:?}:\n{log}");
            assert!(begun.elapsed() < PATIENCE, "no {text:?} in {PATIENCE:?}:\n{log}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Where it serves, if it was started with `--listen 127.0.0.1:0`.
    ///
    /// # Panics
    /// As [`Agent::wait_for_log`], and when the log names no address.
    #[track_caller]
    pub fn serves_at(&mut self) -> SocketAddr {
        self.wait_for_log("serving");
        let log = self.stderr_so_far();
        // As text `serving address=…`, as JSON `"serving","address":"…"`.
        let after = log.split("serving").nth(1).expect("just waited for");
        let word = after.split("127.0.0.1:").nth(1).expect("an address");
        let port: String = word.chars().take_while(char::is_ascii_digit).collect();
        SocketAddr::from(([127, 0, 0, 1], port.parse().expect("a port")))
    }

    /// Kills it as the kernel would (SIGKILL), and waits until it is gone.
    pub fn kill9(mut self) -> Output {
        self.signal(Signal::KILL);
        let status = self.wait_for_exit(PATIENCE);
        self.output(status)
    }

    /// Asks it to stop (SIGTERM), and waits until it has.
    ///
    /// # Panics
    /// When it has not stopped after two minutes (it is killed).
    #[track_caller]
    pub fn term(mut self) -> Output {
        self.signal(Signal::TERM);
        let status = self.wait_for_exit(COMMAND_LIMIT);
        self.output(status)
    }

    /// Asks the program that strace looks at ([`Sandbox::spawn_under`]) to stop, and waits until both have.
    ///
    /// # Panics
    /// As [`Agent::term`].
    #[track_caller]
    pub fn term_traced(mut self) -> Output {
        self.signal_traced(Signal::TERM);
        let status = self.wait_for_exit(COMMAND_LIMIT);
        self.output(status)
    }

    /// Sends the program that strace looks at a signal, and goes on.
    pub fn signal_traced(&self, signal: Signal) {
        for traced in crate::processes::children_of(self.id()) {
            let id = i32::try_from(traced.id).ok().and_then(Pid::from_raw);
            // One that has just ended is as stopped as the signal wanted it to be.
            let _ = id.map(|id| kill_process(id, signal));
        }
    }

    /// Sends a signal and goes on.
    pub fn signal(&self, signal: Signal) {
        // A process that has just ended is as stopped as the signal wanted it to be.
        let _ = kill_process(Pid::from_child(&self.child), signal);
    }

    /// Waits until it ends by itself.
    ///
    /// # Panics
    /// When it takes longer than two minutes (it is killed).
    #[track_caller]
    pub fn wait(mut self) -> Output {
        let status = self.wait_for_exit(COMMAND_LIMIT);
        self.output(status)
    }

    #[track_caller]
    fn wait_for_exit(&mut self, limit: Duration) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("the state of a child") {
                return status;
            }
            assert!(
                begun.elapsed() < limit,
                "still running after {limit:?}; stdout:\n{}\nstderr:\n{}",
                self.stdout_so_far(),
                self.stderr_so_far()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn output(mut self, status: ExitStatus) -> Output {
        Output { code: status.code(), stdout: self.stdout.all(), stderr: self.stderr.all() }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // Killed itself, strace would let go of what it looks at, which would go on.
        self.signal_traced(Signal::KILL);
        // It may have ended already: then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
