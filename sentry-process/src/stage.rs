//! Programs that are not started: a test sees what would have been, and says what they answer.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::marker::PhantomData;
use std::path::PathBuf;

use super::{Output, Program};

/// A program that would have been started.
#[derive(Debug, Clone)]
pub struct Call {
    /// The program: a path, or a name that would have been looked up in `PATH`.
    pub program: PathBuf,
    /// Its arguments, without its own name.
    pub args: Vec<OsString>,
    /// Its whole environment.
    pub env: BTreeMap<OsString, OsString>,
    /// What would have been written to its stdin.
    pub stdin: Vec<u8>,
}

type Answer = Box<dyn FnMut(&Call) -> Output>;

thread_local! {
    static ANSWER: RefCell<Option<Answer>> = const { RefCell::new(None) };
}

/// While it lives, [`Program::run`] starts nothing on this thread. [`Program::lines`] is not touched.
#[derive(Debug)]
pub struct Stage(PhantomData<*const ()>);

impl Stage {
    /// Every program that would run on this thread is answered by `answer`, which must not run one itself.
    #[must_use]
    pub fn new(answer: impl FnMut(&Call) -> Output + 'static) -> Self {
        ANSWER.set(Some(Box::new(answer)));
        Self(PhantomData)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        ANSWER.set(None);
    }
}

impl Output {
    /// What a program leaves that ended by itself with this exit code.
    #[must_use]
    pub fn of(code: i32, stdout: impl Into<Vec<u8>>, stderr: impl Into<Vec<u8>>) -> Self {
        use std::os::unix::process::ExitStatusExt as _;
        // The code stands in the second byte of a wait status: wait(2).
        let status = std::process::ExitStatus::from_raw((code & 0xff) << 8);
        Self { status, stdout: stdout.into(), stderr: stderr.into() }
    }
}

/// The answer to a program, if this thread has one for it.
pub(super) fn answer(program: &Program) -> Option<Output> {
    ANSWER.with_borrow_mut(|answer| {
        let answer = answer.as_mut()?;
        Some(answer(&Call {
            program: program.path.clone(),
            args: program.args.clone(),
            env: program.env.clone(),
            stdin: program.stdin.clone(),
        }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_program_is_answered_for_and_not_started() {
        let stage = Stage::new(|call| Output::of(3, format!("{:?}", call.args), "why"));
        let output = Program::new("/no/such/program").arg("one").run().await.unwrap();
        assert_eq!(output.status.code(), Some(3));
        assert_eq!((output.stdout, output.stderr), (br#"["one"]"#.to_vec(), b"why".to_vec()));
        drop(stage);
        assert!(Program::new("/no/such/program").run().await.is_err());
    }
}
