//! A program whose output is read line by line while it runs.

use std::process::ExitStatus;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdout};
use tokio::time::{Instant, timeout_at};

use super::{Group, ProcessError, Program};

/// What is kept of stderr, in bytes.
const STDERR_CAP: usize = 64 << 10;

/// A running program, its stdout read line by line. Dropping it kills the program and all it started.
#[derive(Debug)]
pub struct Lines {
    name: String,
    deadline: Duration,
    until: Instant,
    cap: usize,
    stdout: BufReader<ChildStdout>,
    stderr: Option<ChildStderr>,
    said: Vec<u8>,
    /// The part of a line that came so far.
    part: Vec<u8>,
    /// Declared before the child: the group is killed before the child is given up.
    group: Option<Group>,
    child: Child,
}

/// How a program ended by itself.
#[derive(Debug, Clone)]
pub struct End {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote to stderr, up to 64 KiB and then without its last word; may hold secrets: redact before showing.
    pub stderr: Vec<u8>,
}

impl Program {
    /// Starts it with an empty stdin. Its deadline holds for its whole life, its output cap for each line.
    ///
    /// # Errors
    /// [`ProcessError::Start`], [`ProcessError::Limit`] and [`ProcessError::Io`].
    pub fn lines(self) -> Result<Lines, ProcessError> {
        let name = self.path.display().to_string();
        let until = Instant::now() + self.deadline;
        let (mut child, group) = self.start()?;
        drop(child.stdin.take());
        let (Some(stdout), stderr) = (child.stdout.take(), child.stderr.take()) else {
            let source = std::io::Error::other("its output is not a pipe");
            return Err(ProcessError::Io { program: name, source });
        };
        Ok(Lines {
            name,
            deadline: self.deadline,
            until,
            cap: self.output_cap,
            stdout: BufReader::new(stdout),
            stderr,
            said: Vec::new(),
            part: Vec::new(),
            group,
            child,
        })
    }
}

impl Lines {
    /// The next line without its end, also a last one that has none; `None` once stdout is closed. May be dropped
    /// and called again without losing anything.
    ///
    /// # Errors
    /// [`ProcessError::Timeout`] at the deadline and [`ProcessError::TooMuchOutput`] for a line beyond the cap: the
    /// program was killed then. [`ProcessError::Io`].
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, ProcessError> {
        let until = self.until;
        // A timeout asks the clock only when there is nothing to read; a flood always has something.
        if Instant::now() >= until {
            return Err(self.timed_out());
        }
        match timeout_at(until, self.read()).await {
            Ok(line) => line,
            Err(_) => Err(self.timed_out()),
        }
    }

    /// Waits for the program's own end, after the last line.
    ///
    /// # Errors
    /// [`ProcessError::Timeout`] and [`ProcessError::Io`], as [`Self::next`].
    pub async fn end(mut self) -> Result<End, ProcessError> {
        let until = self.until;
        let rest = async {
            while self.stderr.is_some() {
                self.drain().await;
            }
            self.child.wait().await
        };
        match timeout_at(until, rest).await {
            Ok(Ok(status)) => {
                let mut stderr = std::mem::take(&mut self.said);
                if stderr.len() == STDERR_CAP {
                    super::end_with_a_word(&mut stderr);
                }
                Ok(End { status, stderr })
            }
            Ok(Err(source)) => Err(self.lost(source)),
            Err(_) => Err(self.timed_out()),
        }
    }

    async fn read(&mut self) -> Result<Option<Vec<u8>>, ProcessError> {
        loop {
            let chunk = tokio::select! {
                chunk = self.stdout.fill_buf() => chunk,
                () = drain(&mut self.stderr, &mut self.said) => continue,
            };
            let chunk = match chunk {
                Ok(chunk) => chunk,
                Err(source) => return Err(self.lost(source)),
            };
            if chunk.is_empty() {
                return Ok((!self.part.is_empty()).then(|| std::mem::take(&mut self.part)));
            }
            let end = chunk.iter().position(|&byte| byte == b'\n');
            self.part.extend_from_slice(&chunk[..end.unwrap_or(chunk.len())]);
            let read = end.map_or(chunk.len(), |end| end + 1);
            self.stdout.consume(read);
            if self.part.len() > self.cap {
                self.kill();
                let program = self.name.clone();
                return Err(ProcessError::TooMuchOutput { program, cap: self.cap });
            }
            if end.is_some() {
                return Ok(Some(std::mem::take(&mut self.part)));
            }
        }
    }

    async fn drain(&mut self) {
        drain(&mut self.stderr, &mut self.said).await;
    }

    fn lost(&self, source: std::io::Error) -> ProcessError {
        ProcessError::Io { program: self.name.clone(), source }
    }

    fn timed_out(&mut self) -> ProcessError {
        self.kill();
        let stdout = std::mem::take(&mut self.part);
        ProcessError::Timeout { program: self.name.clone(), deadline: self.deadline, stdout }
    }

    /// What it writes is read as it comes, so that there is nothing it could still want to finish.
    fn kill(&mut self) {
        drop(self.group.take());
    }
}

/// Reads some of stderr away, keeping its start. Waits for ever once it is closed.
async fn drain(pipe: &mut Option<ChildStderr>, said: &mut Vec<u8>) {
    let Some(open) = pipe else { return std::future::pending().await };
    let mut chunk = [0; 4096];
    match open.read(&mut chunk).await {
        Ok(0) | Err(_) => *pipe = None,
        Ok(read) => {
            let room = STDERR_CAP - said.len();
            said.extend_from_slice(&chunk[..read.min(room)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use rustix::process::{Signal, kill_process};

    use super::super::tests::{all_die, lives, sh};
    use super::*;

    #[tokio::test]
    async fn lines_come_while_the_program_runs_and_its_end_is_told() {
        let script = "echo one; echo problem >&2; read x; echo two; printf three; exit 3";
        let mut lines = sh(script).lines().unwrap();
        assert_eq!(lines.next().await.unwrap().unwrap(), b"one");
        assert_eq!(lines.next().await.unwrap().unwrap(), b"two");
        assert_eq!(lines.next().await.unwrap().unwrap(), b"three");
        assert_eq!(lines.next().await.unwrap(), None);
        let end = lines.end().await.unwrap();
        assert_eq!((end.status.code(), end.stderr.as_slice()), (Some(3), &b"problem\n"[..]));
    }

    #[tokio::test]
    async fn nothing_is_lost_when_reading_is_interrupted_in_the_middle_of_a_line() {
        let script = "trap 'echo two; exit' USR1; printf one; while :; do sleep 0.01; done";
        let mut lines = sh(script).lines().unwrap();
        while lines.part != b"one" {
            let early = tokio::time::timeout(Duration::from_millis(100), lines.next()).await;
            assert!(early.is_err(), "{early:?}");
        }
        kill_process(lines.group.as_ref().unwrap().0, Signal::USR1).unwrap();
        assert_eq!(lines.next().await.unwrap().unwrap(), b"onetwo");
    }

    #[tokio::test]
    async fn dropping_kills_the_program_and_what_it_started() {
        let mut lines = sh("sleep 987 & echo $!; echo $$; wait").lines().unwrap();
        let pids = [lines.next().await.unwrap().unwrap(), lines.next().await.unwrap().unwrap()];
        assert!(pids.iter().all(|pid| lives(pid)));
        drop(lines);
        all_die(&pids).await;
    }

    #[tokio::test]
    async fn a_hung_program_is_killed_at_its_deadline_even_if_it_ignores_term() {
        let script = "trap '' TERM; sleep 987 & echo $!; echo $$; while :; do wait; done";
        let mut lines = sh(script).deadline(Duration::from_secs(3600)).lines().unwrap();
        let pids = [lines.next().await.unwrap().unwrap(), lines.next().await.unwrap().unwrap()];
        // The hour passes as soon as there is nothing left but to wait for it.
        tokio::time::pause();
        let error = lines.next().await.unwrap_err();
        tokio::time::resume();
        assert!(matches!(error, ProcessError::Timeout { .. }), "{error}");
        all_die(&pids).await;
    }

    #[tokio::test]
    async fn a_flood_of_lines_ends_at_the_deadline() {
        let mut lines = sh("exec yes").deadline(Duration::from_millis(300)).lines().unwrap();
        let error = loop {
            match lines.next().await {
                Ok(line) => assert_eq!(line.unwrap(), b"y"),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, ProcessError::Timeout { .. }), "{error}");
        let flood = sh("exec >&-; exec yes >&2").deadline(Duration::from_millis(300));
        let mut lines = flood.lines().unwrap();
        let error = match lines.next().await {
            Ok(line) => {
                assert_eq!(line, None);
                lines.end().await.unwrap_err()
            }
            // On a busy machine its time may pass before it has closed its stdout.
            Err(error) => error,
        };
        assert!(matches!(error, ProcessError::Timeout { .. }), "{error}");
    }

    #[tokio::test]
    async fn a_line_beyond_the_cap_ends_it_while_many_short_lines_do_not() {
        let mut lines = sh("yes | head -c 100000").output_cap(10).lines().unwrap();
        let mut count = 0;
        while lines.next().await.unwrap().is_some() {
            count += 1;
        }
        assert_eq!(count, 50_000);
        let mut long = sh("echo $$; head -c 100000 /dev/zero; sleep 987").output_cap(1000);
        long = long.deadline(Duration::from_secs(60));
        let mut long = long.lines().unwrap();
        let pid = long.next().await.unwrap().unwrap();
        let error = long.next().await.unwrap_err();
        assert!(matches!(error, ProcessError::TooMuchOutput { cap: 1000, .. }), "{error}");
        all_die(&[pid]).await;
    }

    #[tokio::test]
    async fn a_flood_of_stderr_neither_blocks_nor_fills_memory() {
        let mut lines = sh("yes | head -c 1000000 >&2; echo done").lines().unwrap();
        assert_eq!(lines.next().await.unwrap().unwrap(), b"done");
        assert_eq!(lines.next().await.unwrap(), None);
        assert_eq!(lines.end().await.unwrap().stderr.len(), STDERR_CAP);
    }

    #[tokio::test]
    async fn a_missing_program_is_named_here_too() {
        let error = Program::new("no-such-program").lines().unwrap_err();
        assert_eq!(error.to_string(), "can't start no-such-program");
    }
}
