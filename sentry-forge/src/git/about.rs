//! The errors of a fetch: each names the repository and the commit.

use sentry_core::forge::{ForgeError, ForgeErrorKind};
use sentry_core::repo::{CommitSha, RepoUrl};

use super::failure;
use super::listing::{self, Problem};

/// What a fetch is about.
#[derive(Debug, Clone, Copy)]
pub(super) struct About<'a> {
    pub(super) repo: &'a RepoUrl,
    pub(super) commit: &'a CommitSha,
}

impl About<'_> {
    /// What is being done, as a clause.
    pub(super) fn fetching(self) -> String {
        format!("fetching commit {}", self.commit)
    }

    /// The server sent what no server sends.
    pub(super) fn wrong(self, what: &str) -> ForgeError {
        ForgeError::new(ForgeErrorKind::WrongAnswer, format!("{}: {what}", self.repo))
    }

    /// Something, by its place, is not as it has to be.
    pub(super) fn bad(self, problem: Problem, what: &str) -> ForgeError {
        match problem {
            Problem::Garbled(text) => self.wrong(&text),
            Problem::Missing(path) => self.wrong(&format!("{path} was not sent")),
            Problem::TooLarge(text) => {
                let text = format!("{} at {}: {what}: {text}", self.repo, self.commit.short());
                ForgeError::new(ForgeErrorKind::TooLarge, text)
                    .with_hint("raise the limit, or keep less in the directory")
            }
        }
    }

    /// An object is heavier than is read.
    pub(super) fn too_heavy(self, what: &str, size: u64, most: u64) -> ForgeError {
        self.bad(Problem::TooLarge(format!("{size} bytes, at most {most} allowed")), what)
    }

    /// The fetch takes more than it may.
    pub(super) fn too_much(self, room: u64) -> ForgeError {
        let text =
            format!("{}: {} takes more than the {room} bytes allowed", self.repo, self.fetching());
        ForgeError::new(ForgeErrorKind::TooLarge, text)
            .with_hint("raise the limit, or keep the manifests in a smaller repository")
    }

    /// The error for a commit that the server does not have, or does not give out.
    pub(super) fn gone(self, commit: &str, why: &str) -> ForgeError {
        failure::no_commit(self.repo.as_str(), commit, why)
    }
}

/// The one entry of a name, which has to be a directory, by the modes of all that have it. `walked` is the way to it.
pub(super) fn the_directory<I: Copy>(found: &[(&str, I)], walked: &str) -> Result<I, ForgeError> {
    match found {
        [] => Err(no_directory(&format!("it has no directory {walked}"))),
        [("040000", id)] => Ok(*id),
        [(mode, _)] => {
            let what = listing::what_is(mode);
            Err(no_directory(&format!("{walked} {what}, not a directory")))
        }
        _ => Err(no_directory(&format!("{walked} appears twice"))),
    }
}

/// The commit has nothing that could be read: somebody renamed the directory, or nobody made it.
fn no_directory(what: &str) -> ForgeError {
    let text = format!("{what}: restore it, or change `manifests.dir`");
    ForgeError::new(ForgeErrorKind::NoDirectory, text)
}
