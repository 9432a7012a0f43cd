//! 9: force-pushes, rewinds and unrelated histories of a real git server, and tags that are moved: whatever the head was
//! before, the new one is delivered.

use std::collections::BTreeSet;

use sentry_tests::promise::{cases, kept};
use sentry_tests::road::Road;
use sentry_tests::sandbox::eventually;

use crate::world::RUNS;

/// How the head of the subject moves.
#[derive(Debug, Clone, Copy)]
enum Move {
    /// Forward.
    Push,
    /// The last commit is replaced.
    Amend,
    /// Two forward, then one back to a commit that was never a head.
    BackToUnseen,
    /// Back to a head that was delivered.
    BackToDelivered,
    /// To a history without a common commit.
    Unrelated,
    /// Several moves before anybody looks.
    Hasty,
}

const MOVES: [Move; 6] = [
    Move::Push,
    Move::Amend,
    Move::BackToUnseen,
    Move::BackToDelivered,
    Move::Unrelated,
    Move::Hasty,
];

struct Story {
    road: Road,
    /// `main`, or a tag by its whole reference.
    subject: &'static str,
    /// The heads that were waited for.
    heads: Vec<String>,
    number: usize,
}

impl Story {
    /// A commit on top of another one, on a branch that nobody watches.
    fn commit_on(&mut self, parent: &str) -> String {
        self.number += 1;
        self.road.a.force("scratch", parent);
        self.road.a.commit("scratch", &[("n", &self.number.to_string())], "work")
    }

    fn head(&self) -> String {
        self.road.a.git(&["rev-parse", &format!("{}^{{commit}}", self.subject)])
    }

    /// Tags that are objects of their own and tags that are not take turns.
    fn set(&self, sha: &str) {
        self.road.a.force(self.subject, sha);
        if let Some(tag) = self.subject.strip_prefix("refs/tags/").filter(|_| self.number % 2 == 1)
        {
            self.road.a.annotate(tag, sha);
        }
    }

    fn moves(&mut self, how: Move) -> String {
        let (head, old) = (self.head(), self.heads[self.number % self.heads.len()].clone());
        let next = match how {
            Move::Push => self.commit_on(&head),
            Move::Amend => {
                let parent = self.road.a.try_git(&["rev-parse", &format!("{head}^")]);
                let parent = parent.map(|sha| sha.trim().to_owned());
                match parent {
                    Some(parent) => self.commit_on(&parent),
                    None => self.commit_on(&head),
                }
            }
            Move::BackToUnseen => {
                let unseen = self.commit_on(&head);
                let ahead = self.commit_on(&unseen);
                self.set(&ahead);
                self.arrives(&ahead);
                unseen
            }
            Move::BackToDelivered => old,
            Move::Unrelated => {
                self.number += 1;
                let n = self.number;
                self.road.a.commit(&format!("island-{n}"), &[("n", &n.to_string())], "land")
            }
            Move::Hasty => {
                self.set(&old);
                let next = self.commit_on(&old);
                self.set(&next);
                self.commit_on(&next)
            }
        };
        self.set(&next);
        next
    }

    /// The runs of a commit on the API server.
    fn runs_of(&self, sha: &str) -> usize {
        let part = format!("|{}|{sha}|", self.subject.replace("refs/tags/", "tag "));
        let mine = |run: &&serde_json::Value| {
            run["metadata"]["annotations"]["sentry-gitops.dev/key"]
                .as_str()
                .unwrap()
                .contains(&part)
        };
        self.road.runs().iter().filter(mine).count()
    }

    fn arrives(&mut self, sha: &str) {
        if self.heads.iter().any(|head| head == sha) {
            // Its runs are there already: only Sentry can say that it looked.
            eventually("a head that was delivered before is so again", || {
                let status = self.road.json(&["status", "-o", "json"]);
                let branches = status["watches"][0]["branches"].as_array().unwrap().clone();
                branches
                    .iter()
                    .any(|b| b["branch"] == self.subject && b["delivered"]["sha"] == *sha)
            });
        } else {
            eventually(&format!("{sha} is delivered"), || self.runs_of(sha) == RUNS);
            self.heads.push(sha.to_owned());
        }
        assert_eq!(self.runs_of(sha), RUNS);
    }
}

#[test]
fn wherever_the_head_is_moved_it_is_delivered() {
    let seen =
        ["main", "refs/tags/v1"].map(|subject| moved_about(subject, cases(100, MOVES.len())));
    kept(9, "", &format!("{}; 0 stuck, 0 runs made twice", seen.join("; ")));
}

/// What was seen of so many moves.
fn moved_about(subject: &'static str, wanted: usize) -> String {
    let road = Road::new();
    road.configure("branches: [main], tags: 'v*'");
    road.once();
    let mut agent = road.watch();
    agent.wait_for_log("started");
    let mut story = Story { road, subject, heads: Vec::new(), number: 0 };
    let root = story.road.a.branch_at("main").unwrap();
    let first = story.commit_on(&root);
    story.set(&first);
    story.arrives(&first);
    for n in 0..wanted {
        // Each round in another order.
        let how = MOVES[(n * 5 + n / MOVES.len()) % MOVES.len()];
        let sha = story.moves(how);
        story.arrives(&sha);
    }
    assert_eq!(agent.term().code, Some(0));
    let names = story.road.cluster.creates_of("PipelineRun");
    let unique: BTreeSet<_> = names.iter().collect();
    assert_eq!(unique.len(), names.len(), "a run was made twice");
    format!(
        "{wanted} moves of the head of {subject} ({} forms): {} different heads delivered",
        MOVES.len(),
        story.heads.len()
    )
}
