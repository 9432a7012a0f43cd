//! What a program asks the system for, seen by `strace`; it can also be killed at one of these calls.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// A look at the calls of one run of a program, for [`crate::sandbox::Sandbox::spawn_under`].
#[derive(Debug)]
pub struct Strace {
    options: Vec<OsString>,
    log: TempDir,
}

impl Strace {
    /// Sees these calls (`open,openat`) of the program, of its threads, and of every program that is started below it.
    ///
    /// # Panics
    /// When there is no `strace`, or it may not trace here: what was not seen proves nothing.
    #[track_caller]
    pub fn of_the_tree(calls: &str) -> Self {
        let mut this = Self::of_all(calls);
        // Only these calls stop a program then; it goes with nothing but all programs.
        this.options.push("--seccomp-bpf".into());
        this
    }

    #[track_caller]
    fn of_all(calls: &str) -> Self {
        let log = TempDir::new().expect("a temporary directory");
        let works = Command::new("strace")
            .args(["-o", "/dev/null", "true"])
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|error| {
                panic!("strace does not start ({error}); scripts/setup installs it")
            });
        assert!(
            works.status.success(),
            "strace can't trace here (a container without the right to ptrace?): {}",
            String::from_utf8_lossy(&works.stderr)
        );
        // Texts and argument lists whole; of an environment only its size.
        let options = ["-f", "-qq", "-s", "1000000", "-e"].map(OsString::from);
        let mut this = Self { options: options.into(), log };
        this.options.push(format!("trace={calls}").into());
        this
    }

    /// Sees whole environments as well: `execve` ends with the list of the variables.
    #[must_use]
    pub fn with_environments(mut self) -> Self {
        self.options.push("-v".into());
        self
    }

    /// Sees these calls of the program and of its threads; looks away from what it starts.
    #[track_caller]
    pub fn of_the_program(calls: &str) -> Self {
        let mut this = Self::of_all(calls);
        this.options.extend(["-b", "execve"].map(OsString::from));
        this
    }

    /// Kills the program (SIGKILL) when one of its threads comes to the n-th of these calls, before it is carried out.
    #[must_use]
    pub fn killing_at(self, calls: &str, n: usize) -> Self {
        self.signalling_at(calls, "KILL", n)
    }

    /// Sends the program this signal (`TERM`) when one of its threads comes to the n-th of these calls.
    #[must_use]
    pub fn signalling_at(mut self, calls: &str, signal: &str, n: usize) -> Self {
        self.options.push("-e".into());
        self.options.push(format!("inject={calls}:signal={signal}:when={n}").into());
        self
    }

    /// The calls from the n-th to the m-th of each thread fail with this error (`ENOSPC`) and are not carried out.
    #[must_use]
    pub fn failing_at(mut self, calls: &str, error: &str, n: usize, m: usize) -> Self {
        self.options.push("-e".into());
        self.options.push(format!("inject={calls}:error={error}:when={n}..{m}").into());
        self
    }

    /// The words to put before the program's own.
    pub(crate) fn words(&self) -> Vec<OsString> {
        let mut words = self.options.clone();
        words.extend(["-o".into(), self.log.path().join("calls").into_os_string()]);
        words
    }

    /// What was seen so far: `PID CALL(...) = RESULT`, a line each.
    ///
    /// # Panics
    /// When nothing was run under it.
    pub fn lines(&self) -> Vec<String> {
        let bytes = std::fs::read(self.log.path().join("calls")).expect("strace wrote its log");
        String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect()
    }
}

/// Calls of a running program that fail, until this value goes.
#[derive(Debug)]
pub struct Failing(Child);

impl Failing {
    /// These calls (`pwrite64`) of the process and all its threads fail with this error (`EROFS`) and are not carried
    /// out.
    ///
    /// # Panics
    /// When there is no `strace`, or this user may not trace a process that runs.
    #[track_caller]
    pub fn calls_of(process: u32, calls: &str, error: &str) -> Self {
        let mut strace = Command::new("strace")
            .args(["-f", "-qq", "-o", "/dev/null", "-p", &process.to_string()])
            .args(["-e", &format!("trace={calls}")])
            .args(["-e", &format!("inject={calls}:error={error}")])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("strace starts; scripts/setup installs it");
        let tracer = format!("TracerPid:\t{}", strace.id());
        let is_traced = |thread: &Path| {
            let status = std::fs::read_to_string(thread.join("status"));
            status.is_ok_and(|status| status.lines().any(|line| line == tracer))
        };
        loop {
            // strace takes one thread after the other.
            let threads = std::fs::read_dir(format!("/proc/{process}/task"));
            if threads.is_ok_and(|threads| threads.flatten().all(|t| is_traced(&t.path()))) {
                return Self(strace);
            }
            let ended = strace.try_wait().expect("a child of this test");
            assert_eq!(ended, None, "strace may not trace a running process here");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Failing {
    /// The program goes on without it.
    fn drop(&mut self) {
        // One that has ended, because the program did, traces nobody.
        let _ = kill_process(Pid::from_child(&self.0), Signal::TERM);
        let _ = self.0.wait();
    }
}
