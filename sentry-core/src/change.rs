//! Compares what a forge reported with the cursors. Pure: the same cursors and heads give the same answer.

use std::collections::BTreeMap;

use crate::clock::Timestamp;
use crate::cursor::{Cursors, Mark, Passed};
use crate::delivery::Reason;
use crate::repo::CommitSha;
use crate::store::WatchState;
use crate::subject::Subject;
use crate::watch::{BranchSelector, OnFirstSight, Watch};

/// What a poll found out about one branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// Seen for the first time and recorded: nothing is delivered until it moves.
    Baseline {
        /// Why it is the first time.
        why: &'static str,
    },
    /// The head is a different one than before.
    Moved {
        /// The head before that was still to be delivered, if there was one: it is superseded.
        unsettled: Option<CommitSha>,
    },
    /// The branch was deleted.
    Gone {
        /// The head that was still to be delivered, if there was one.
        unsettled: Option<CommitSha>,
    },
    /// The watch no longer selects the branch.
    Forgotten,
}

/// One branch that changed: its new state, and what happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// The state to keep.
    pub state: Cursors,
    /// What happened.
    pub finding: Finding,
}

/// Compares the heads that a forge reported with the cursors of a watch's subjects.
///
/// `known` is what is remembered of the watch itself, `None` before its first poll. `heads` may hold subjects that
/// the watch does not select. Unchanged subjects are not in the answer.
#[must_use]
pub fn detect(
    watch: &Watch,
    known: Option<&WatchState>,
    cursors: &BTreeMap<Subject, Box<Cursors>>,
    heads: &BTreeMap<Subject, CommitSha>,
    now: Timestamp,
) -> Vec<Sighting> {
    // Before its first answer a watch may be remembered for its outage only.
    let known = known.filter(|k| !k.patterns.is_empty());
    let same_repo = known.is_none_or(|k| k.repo.is_same_place(&watch.source.repo));
    let mut sightings = Vec::new();
    let mut head_of = in_step(heads);
    for (subject, state) in cursors {
        let selected = watch.source.selects(subject);
        let has_head = head_of(subject).is_some();
        if !selected || (!same_repo && !has_head) {
            sightings.push(Sighting { state: Cursors::clone(state), finding: Finding::Forgotten });
        } else if !has_head && state.gone.is_none() {
            let unsettled = state.is_change().then(|| state.observed.sha.clone());
            let state = Cursors { gone: Some(now), parked: None, ..Cursors::clone(state) };
            sightings.push(Sighting { state, finding: Finding::Gone { unsettled } });
        }
    }
    let mut cursors_of = in_step(cursors);
    for (subject, sha) in heads.iter().filter(|(s, _)| watch.source.selects(s)) {
        let mark = Mark { sha: sha.clone(), at: now };
        let before = cursors_of(subject).filter(|_| same_repo);
        sightings.extend(match before {
            Some(state) if state.gone.is_none() => moved(state, mark),
            Some(state) => Some(reborn(state, mark)),
            None => Some(first_sight(watch, known, subject, mark)),
        });
    }
    sightings
}

/// Finds what a map holds, for one who asks in its order: both go through once, where thousands of lookups would each go
/// through a tree.
fn in_step<'a, V>(map: &'a BTreeMap<Subject, V>) -> impl FnMut(&Subject) -> Option<&'a V> {
    let mut rest = map.iter().peekable();
    move |subject| {
        while rest.next_if(|(before, _)| *before < subject).is_some() {}
        rest.next_if(|(this, _)| *this == subject).map(|(_, value)| value)
    }
}

fn moved(state: &Cursors, head: Mark) -> Option<Sighting> {
    if state.observed.sha == head.sha {
        return None;
    }
    let unsettled = state.is_change().then(|| state.observed.sha.clone());
    let state = Cursors { observed: head, parked: None, ..state.clone() };
    Some(Sighting { state, finding: Finding::Moved { unsettled } })
}

/// A deleted branch that reappears is a change, even at the commit it had.
fn reborn(state: &Cursors, head: Mark) -> Sighting {
    let state = Cursors::first_seen(state.watch.clone(), state.subject.clone(), head);
    Sighting { state, finding: Finding::Moved { unsettled: None } }
}

fn first_sight(
    watch: &Watch,
    known: Option<&WatchState>,
    subject: &Subject,
    head: Mark,
) -> Sighting {
    let mut state = Cursors::first_seen(watch.name.clone(), subject.clone(), head.clone());
    let why = match known {
        None => Some("first sight: no state was kept for this watch"),
        Some(k) if !k.repo.is_same_place(&watch.source.repo) => {
            Some("the watch's source repository changed")
        }
        Some(k) if !selected_before(k, subject) => Some("the watch's branches were widened"),
        Some(_) => None,
    };
    match why {
        Some(why) if watch.on_first_sight == OnFirstSight::Record => {
            state.baseline = Some(head.sha.clone());
            state.passed = Some(Passed { mark: head, reason: Reason::Baseline });
            Sighting { state, finding: Finding::Baseline { why } }
        }
        // A branch that appears later and that the watch already selected is a change.
        _ => Sighting { state, finding: Finding::Moved { unsettled: None } },
    }
}

fn selected_before(known: &WatchState, subject: &Subject) -> bool {
    let Subject::Branch(branch) = subject;
    BranchSelector::new(known.patterns.iter().map(String::as_str)).is_ok_and(|s| s.matches(branch))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cursor::Parked;
    use crate::ids::DeliveryId;
    use crate::watch::sample::watch;

    fn sha(digit: char) -> CommitSha {
        digit.to_string().repeat(40).parse().unwrap()
    }

    fn on(branch: &str) -> Subject {
        Subject::Branch(branch.parse().unwrap())
    }

    fn heads(list: &[(&str, char)]) -> BTreeMap<Subject, CommitSha> {
        list.iter().map(|(branch, c)| (on(branch), sha(*c))).collect()
    }

    fn known(watch: &Watch) -> WatchState {
        WatchState {
            watch: watch.name.clone(),
            repo: watch.source.repo.clone(),
            patterns: watch.source.branches.patterns().map(str::to_owned).collect(),
            unreachable: None,
        }
    }

    /// Keeps what `detect` says, as the engine does.
    #[derive(Default)]
    struct Memory(BTreeMap<Subject, Box<Cursors>>);

    impl Memory {
        fn see(
            &mut self,
            watch: &Watch,
            known: Option<&WatchState>,
            list: &[(&str, char)],
        ) -> Vec<Finding> {
            let found = detect(watch, known, &self.0, &heads(list), Timestamp::UNIX_EPOCH);
            for s in &found {
                if s.finding == Finding::Forgotten {
                    self.0.remove(&s.state.subject);
                } else {
                    self.0.insert(s.state.subject.clone(), Box::new(s.state.clone()));
                }
            }
            found.into_iter().map(|s| s.finding).collect()
        }

        fn deliver(&mut self, branch: &str) {
            let state = self.0.get_mut(&on(branch)).unwrap();
            state.delivered = Some(state.observed.clone());
            state.passed = None;
        }

        /// Gives the observed head up.
        fn park(&mut self, branch: &str) {
            let state = self.0.get_mut(&on(branch)).unwrap();
            state.parked = Some(Box::new(Parked {
                mark: state.observed.clone(),
                delivery: DeliveryId::new(Timestamp::UNIX_EPOCH, 1),
                fingerprint: String::new(),
                manifests: None,
                regardless_of_b: false,
                error: String::new(),
                again: None,
            }));
        }

        fn is_change(&self, branch: &str) -> bool {
            self.0[&on(branch)].is_change()
        }
    }

    #[test]
    fn the_first_head_is_the_baseline_and_a_later_one_a_change() {
        let (w, mut m) = (watch("qa", &["main"]), Memory::default());
        assert!(matches!(m.see(&w, None, &[("main", 'a')])[..], [Finding::Baseline { .. }]));
        assert!(!m.is_change("main"));
        let k = known(&w);
        assert_eq!(m.see(&w, Some(&k), &[("main", 'a')]), []);
        assert_eq!(m.see(&w, Some(&k), &[("main", 'b')]), [Finding::Moved { unsettled: None }]);
        assert!(m.is_change("main"));
    }

    #[test]
    fn on_first_sight_deliver_makes_the_first_head_a_change() {
        let mut w = watch("qa", &["main"]);
        w.on_first_sight = OnFirstSight::Deliver;
        let mut m = Memory::default();
        m.see(&w, None, &[("main", 'a')]);
        assert!(m.is_change("main"));
    }

    #[test]
    fn a_branch_that_appears_later_is_a_change_and_others_are_ignored() {
        let (w, mut m) = (watch("qa", &["main", "release/*"]), Memory::default());
        m.see(&w, None, &[("main", 'a')]);
        let found =
            m.see(&w, Some(&known(&w)), &[("main", 'a'), ("release/1.0", 'b'), ("topic", 'c')]);
        assert_eq!(found, [Finding::Moved { unsettled: None }]);
        assert!(m.is_change("release/1.0"));
    }

    #[test]
    fn a_widened_selector_records_baselines_and_a_narrowed_one_forgets() {
        let (w, mut m) = (watch("qa", &["main"]), Memory::default());
        m.see(&w, None, &[("main", 'a')]);
        let k = known(&w);
        let wide = watch("qa", &["main", "dev"]);
        let found = m.see(&wide, Some(&k), &[("main", 'a'), ("dev", 'b')]);
        assert!(matches!(found[..], [Finding::Baseline { why }] if why.contains("widened")));
        assert_eq!(m.see(&w, Some(&known(&wide)), &[("main", 'a')]), [Finding::Forgotten]);
    }

    #[test]
    fn a_head_that_moves_before_it_was_delivered_is_superseded() {
        let (w, mut m) = (watch("qa", &["main"]), Memory::default());
        m.see(&w, None, &[("main", 'a')]);
        let k = known(&w);
        m.see(&w, Some(&k), &[("main", 'b')]);
        assert_eq!(
            m.see(&w, Some(&k), &[("main", 'c')]),
            [Finding::Moved { unsettled: Some(sha('b')) }]
        );
    }

    #[test]
    fn a_head_that_was_given_up_is_tried_again_when_the_branch_comes_back_to_it() {
        let main = on("main");
        for meanwhile in [&[("main", 'c')][..], &[]] {
            let (w, mut m) = (watch("qa", &["main"]), Memory::default());
            m.see(&w, None, &[("main", 'a')]);
            let k = known(&w);
            m.see(&w, Some(&k), &[("main", 'b')]);
            m.park("main");
            assert!(m.0[&main].is_parked());
            m.see(&w, Some(&k), meanwhile);
            assert_eq!(m.0[&main].parked, None, "{meanwhile:?}");
            m.see(&w, Some(&k), &[("main", 'b')]);
            assert!(m.is_change("main") && !m.0[&main].is_parked(), "{meanwhile:?}");
        }
    }

    #[test]
    fn a_head_moved_back_to_an_earlier_commit_is_a_change() {
        let (w, mut m) = (watch("qa", &["main"]), Memory::default());
        let k = known(&w);
        m.see(&w, None, &[("main", 'a')]);
        m.see(&w, Some(&k), &[("main", 'b')]);
        m.deliver("main");
        m.see(&w, Some(&k), &[("main", 'a')]);
        assert!(m.is_change("main"));
    }

    #[test]
    fn a_deleted_branch_does_nothing_and_is_a_change_when_it_is_back_even_at_the_same_commit() {
        let (w, mut m) = (watch("qa", &["main", "x"]), Memory::default());
        let k = known(&w);
        m.see(&w, None, &[("main", 'a'), ("x", 'b')]);
        assert_eq!(m.see(&w, Some(&k), &[("main", 'a')]), [Finding::Gone { unsettled: None }]);
        assert!(!m.is_change("x"));
        assert_eq!(m.see(&w, Some(&k), &[("main", 'a')]), []);
        m.see(&w, Some(&k), &[("main", 'a'), ("x", 'b')]);
        assert!(m.is_change("x"));
    }

    #[test]
    fn another_source_repository_starts_anew() {
        let (w, mut m) = (watch("qa", &["main", "x"]), Memory::default());
        let mut k = known(&w);
        m.see(&w, None, &[("main", 'a'), ("x", 'b')]);
        k.repo = "https://example.com/other/repo".parse().unwrap();
        let found = m.see(&w, Some(&k), &[("main", 'c')]);
        assert!(matches!(found[..], [Finding::Forgotten, Finding::Baseline { .. }]), "{found:?}");
    }
}
