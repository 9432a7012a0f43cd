//! A directory of its own for every test: nothing of the machine's environment reaches the program.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use sentry_core::delivery::Trigger;
use sentry_core::store::{Inbox as _, Write};
use sentry_store::SqliteStore;
use serde_json::Value;
use tempfile::TempDir;

const TASK: &str =
    "apiVersion: tekton.dev/v1\nkind: Task\nmetadata: {name: t}\nspec: {steps: []}\n";
const RUN: &str =
    "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata: {generateName: r-}\nspec: {}\n";

/// A home, a place for temporary files and a place for state.
#[derive(Debug)]
pub(crate) struct Sandbox {
    dir: TempDir,
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A program that runs until it is stopped.
pub(crate) struct Running(Child);

impl Sandbox {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("tmp")).unwrap();
        Self { dir }
    }

    /// Two repositories, and a configuration that watches the first with the dry-run deployer.
    pub(crate) fn with_repositories() -> Self {
        let sandbox = Self::new();
        for repo in ["a", "b"] {
            sandbox.init(repo);
        }
        sandbox.commit("a", "file", "1");
        sandbox.write("b/.tekton/run.yaml", RUN);
        sandbox.commit("b", ".tekton/a-task.yaml", TASK);
        let url = |repo: &str| format!("file://{}", sandbox.path(repo).display());
        let config = format!(
            "forges: {{git: {{type: git}}}}\nwatches:\n  - name: qa\n    polling_interval: 1\n    \
             source: {{url: \"{}\", branches: main}}\n    manifests: {{url: \"{}\", branch: main}}\n    \
             cluster: {{deployer: dry-run, namespace: qa}}\n",
            url("a"),
            url("b")
        );
        sandbox.write("sentry.yaml", &config);
        sandbox
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    pub(crate) fn entries(&self, name: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.path(name)).unwrap();
        entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
    }

    /// Makes a repository.
    pub(crate) fn init(&self, repo: &str) {
        self.git(&["init", "--quiet", "--initial-branch=main", repo]);
    }

    /// Makes a branch where HEAD is.
    pub(crate) fn branch(&self, repo: &str, name: &str) {
        self.git(&["-C", repo, "branch", name]);
    }

    /// Writes a file of a repository and commits all of it; returns the commit.
    pub(crate) fn commit(&self, repo: &str, file: &str, text: &str) -> String {
        self.write(&format!("{repo}/{file}"), text);
        self.git(&["-C", repo, "add", "."]);
        self.git(&["-C", repo, "commit", "--quiet", "-m", text.lines().next().unwrap()]);
        self.head(repo)
    }

    pub(crate) fn head(&self, repo: &str) -> String {
        self.git(&["-C", repo, "rev-parse", "HEAD"])
    }

    fn git(&self, args: &[&str]) -> String {
        let mut command = self.hermetic("git");
        for who in ["AUTHOR", "COMMITTER"] {
            command
                .env(format!("GIT_{who}_NAME"), "A")
                .env(format!("GIT_{who}_EMAIL"), "a@example.com");
        }
        let output = command.args(args).output().unwrap();
        assert!(output.status.success(), "git {args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn hermetic(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let dir: &Path = self.dir.path();
        let mut command = Command::new(program);
        command
            .current_dir(dir)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", dir)
            .env("TMPDIR", dir.join("tmp"))
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .stdin(Stdio::null());
        command
    }

    fn sentry(&self, args: &[&str]) -> Command {
        let mut command = self.hermetic(env!("CARGO_BIN_EXE_sentry"));
        command.env("SENTRY_STATE_DIR", self.path("state")).args(args);
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Run {
        self.run_in(&[], args)
    }

    /// The same with more in the environment.
    pub(crate) fn run_in(&self, vars: &[(&str, &str)], args: &[&str]) -> Run {
        let mut command = self.sentry(args);
        command.envs(vars.iter().copied());
        let output = assert_cmd::Command::from_std(command).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Run {
            code: output.status.code().unwrap(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    /// The stdout of a run that must succeed.
    pub(crate) fn ok(&self, args: &[&str]) -> String {
        let run = self.run(args);
        assert_eq!(run.code, 0, "{args:?}: {run:?}");
        run.stdout
    }

    pub(crate) fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.ok(args)).unwrap()
    }

    /// What another program writes to stdout and stderr. It finds sentry in its PATH.
    pub(crate) fn outside(&self, program: &str, args: &[&str]) -> (String, String) {
        let ours = Path::new(env!("CARGO_BIN_EXE_sentry")).parent().unwrap();
        let path = format!("{}:{}", ours.display(), std::env::var("PATH").unwrap());
        let mut command = self.hermetic(program);
        let state = self.path("state");
        let output = command.env("PATH", path).env("SENTRY_STATE_DIR", state).args(args).output();
        let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (text(output.stdout), text(output.stderr))
    }

    /// The lines that a shell writes, in order of the alphabet.
    pub(crate) fn shell(&self, shell: &str, args: &[&str]) -> Vec<String> {
        let (stdout, stderr) = self.outside(shell, args);
        assert_eq!(stderr, "", "{shell} {args:?}");
        let mut lines: Vec<String> = stdout.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }

    /// A trigger as the state keeps it.
    pub(crate) fn trigger(&self, id: &str) -> Option<Trigger> {
        block_on(self.store().trigger(&id.parse().unwrap())).unwrap()
    }

    /// Makes the state be so, as an agent would have.
    pub(crate) fn keep(&self, writes: &[Write]) {
        block_on(sentry_core::testing::commit(&self.store(), writes)).unwrap();
    }

    fn store(&self) -> SqliteStore {
        SqliteStore::open(&self.path("state")).unwrap()
    }

    /// Starts one that runs until it is stopped; what it writes to stdout and stderr is in files such as `watch.out` and `watch.err`.
    pub(crate) fn start(&self, args: &[&str]) -> Running {
        let file = |name| std::fs::File::create(self.path(&format!("{}.{name}", args[0]))).unwrap();
        Running(self.sentry(args).stdout(file("out")).stderr(file("err")).spawn().unwrap())
    }

    /// Waits until it is so. The limit only ends a test that would hang.
    pub(crate) fn eventually(&self, mut so: impl FnMut() -> bool) {
        let limit = Instant::now() + Duration::from_secs(60);
        while !so() {
            assert!(Instant::now() < limit, "it did not happen");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

pub(crate) fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(work)
}

impl Running {
    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// SIGTERM; the exit code.
    pub(crate) fn stop(self) -> Option<i32> {
        self.stop_by(Signal::TERM)
    }

    /// The same by another signal.
    pub(crate) fn stop_by(mut self, signal: Signal) -> Option<i32> {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
        self.0.wait().unwrap().code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A test that failed before it stopped its agent leaves none behind.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}
