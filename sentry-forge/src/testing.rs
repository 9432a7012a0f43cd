//! Readers of what servers answer, for those who try answers that no server gave. Nothing is asked.

use sentry_core::repo::{BranchName, CommitSha};

use crate::git::ls_refs::{NoList, RefList, parse, parse_ls_remote};
use crate::hosted::Hosted;
use crate::http::Answer;

/// The branches of an answer to `ls-refs`; `None` if it is no list.
#[must_use]
pub fn ls_refs(body: &[u8]) -> Option<Vec<(BranchName, CommitSha)>> {
    list(parse(body))
}

/// The branches that `git ls-remote` printed; `None` if it is no list.
#[must_use]
pub fn ls_remote(output: &[u8]) -> Option<Vec<(BranchName, CommitSha)>> {
    list(parse_ls_remote(output))
}

fn list(read: Result<RefList, NoList>) -> Option<Vec<(BranchName, CommitSha)>> {
    read.ok().map(|list| list.refs)
}

impl Hosted {
    /// What is wrong with an answer, taken for one to every question there is; the commit is the one asked for.
    #[must_use]
    pub fn problems(&self, answer: &Answer, id: &CommitSha) -> Vec<String> {
        let api = &self.api;
        let Ok(branch) = "main".parse() else { return Vec::new() };
        // Read for their panics alone: they have no problem to tell.
        _ = (api.absence(answer), api.lacks_commit(answer));
        [
            api.read_head(answer, &branch).err(),
            api.read_repo(answer).err(),
            api.read_commit(answer).err(),
            api.read_changes(answer, id, id).err(),
            api.read_status(answer).err(),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}
