//! The pull requests of a forge's repositories: who opened which, and what became of them since.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use sentry_core::clock::Timestamp;

use crate::http::lock;
use crate::repo::BareRepo;

/// One pull request.
#[derive(Debug, Clone)]
pub struct Pull {
    /// Its number.
    pub number: u64,
    /// `owner/name` of the repository that its head is in; `None` if that was deleted.
    pub from: Option<String>,
    /// The branch of its head.
    pub source: String,
    /// The branch that it is to be merged into.
    pub target: String,
    /// Its title.
    pub title: String,
    /// Who opened it.
    pub author: String,
    /// Whether it is a draft.
    pub is_draft: bool,
    /// Its labels.
    pub labels: BTreeSet<String>,
    /// Whether it is open.
    pub is_open: bool,
    /// Whether it was merged.
    pub is_merged: bool,
    /// Its head when it was looked at last.
    pub head: String,
    /// When it was updated, in seconds.
    pub updated: i64,
}

impl Pull {
    /// When it was updated, as the forges write it.
    pub fn updated_at(&self) -> String {
        Timestamp::from_second(self.updated).expect("a time").to_string()
    }
}

#[derive(Debug, Default)]
struct Kept {
    pulls: BTreeMap<String, BTreeMap<u64, Pull>>,
    time: i64,
}

/// The pull requests of all repositories.
#[derive(Debug, Default)]
pub struct Desk(Mutex<Kept>);

const BEGIN: i64 = 1_790_000_000;

impl Desk {
    /// Opens one in `repo` (`owner/name`) from a branch of `from` with this head, and returns its number.
    pub fn open(&self, repo: &str, from: &str, (source, head): (&str, &str), target: &str) -> u64 {
        let mut kept = lock(&self.0);
        kept.time += 1;
        let updated = BEGIN + kept.time;
        let pulls = kept.pulls.entry(repo.to_owned()).or_default();
        let number = pulls.keys().next_back().map_or(1, |last| last + 1);
        let pull = Pull {
            number,
            from: Some(from.to_owned()),
            source: source.to_owned(),
            target: target.to_owned(),
            title: format!("Pull {number}"),
            author: "ada".to_owned(),
            is_draft: false,
            labels: BTreeSet::new(),
            is_open: true,
            is_merged: false,
            head: head.to_owned(),
            updated,
        };
        pulls.insert(number, pull);
        number
    }

    /// Changes one, which updates it.
    ///
    /// # Panics
    /// If there is none of this number.
    pub fn change(&self, repo: &str, number: u64, change: impl FnOnce(&mut Pull)) {
        let mut kept = lock(&self.0);
        kept.time += 1;
        let updated = BEGIN + kept.time;
        let pulls = kept.pulls.get_mut(repo).expect("a repository with pull requests");
        let pull = pulls.get_mut(&number).expect("a pull request");
        change(pull);
        pull.updated = updated;
    }

    /// One as it is.
    ///
    /// # Panics
    /// If there is none of this number.
    pub fn get(&self, repo: &str, number: u64) -> Pull {
        lock(&self.0).pulls[repo][&number].clone()
    }

    /// Those of a repository, the one that was updated last first. A head that moved since was updated by that.
    pub(super) fn list(&self, repo: &str, find: impl Fn(&str) -> Option<BareRepo>) -> Vec<Pull> {
        let mut kept = lock(&self.0);
        let Kept { pulls, time } = &mut *kept;
        let Some(pulls) = pulls.get_mut(repo) else { return Vec::new() };
        for pull in pulls.values_mut().filter(|pull| pull.is_open) {
            let from = pull.from.as_deref().and_then(&find);
            let Some(head) = from.and_then(|from| from.branch_at(&pull.source)) else { continue };
            if pull.head != head {
                pull.head = head;
                *time += 1;
                pull.updated = BEGIN + *time;
            }
        }
        let mut all: Vec<Pull> = pulls.values().cloned().collect();
        all.sort_by_key(|pull| std::cmp::Reverse((pull.updated, pull.number)));
        all
    }
}

/// The page that a query asks for: `page` from 1, of `size`.
pub(super) fn page(mut all: Vec<Pull>, page: usize, size: usize) -> Vec<Pull> {
    let begin = page.saturating_sub(1).saturating_mul(size).min(all.len());
    let mut rest = all.split_off(begin);
    rest.truncate(size);
    rest
}
