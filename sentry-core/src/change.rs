//! Compares what a forge reported with the cursors. Pure: the same cursors and heads give the same answer.

use std::cell::LazyCell;
use std::collections::{BTreeMap, BTreeSet};

use crate::approval::Approval;
use crate::clock::Timestamp;
use crate::cursor::{Cursors, Mark, Passed};
use crate::delivery::Reason;
use crate::forge::PullChanges;
use crate::pull::{PullNumber, PullRequest, PullSelector};
use crate::repo::CommitSha;
use crate::store::WatchState;
use crate::subject::Subject;
use crate::watch::{OnFirstSight, SubjectSelector, Watch};

/// What a poll found out about one subject.
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
    /// It was deleted.
    Gone {
        /// The head that was still to be delivered, if there was one.
        unsettled: Option<CommitSha>,
    },
    /// The watch no longer selects it.
    Forgotten,
}

/// One subject that changed: its new state, and what happened.
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
        let is_pull = matches!(subject, Subject::PullRequest(_));
        if is_pull && same_repo && watch.source.subjects.matches(subject) {
            // They are told apart.
            continue;
        }
        let selected = watch.source.subjects.matches(subject);
        let has_head = head_of(subject).is_some();
        if !selected || (!same_repo && !has_head) {
            sightings.push(Sighting { state: Cursors::clone(state), finding: Finding::Forgotten });
        } else if !has_head && state.gone.is_none() {
            let unsettled = state.is_change().then(|| state.observed.sha.clone());
            let state = Cursors { gone: Some(now), parked: None, ..Cursors::clone(state) };
            sightings.push(Sighting { state, finding: Finding::Gone { unsettled } });
        }
    }
    let read =
        |known: &WatchState| SubjectSelector::read(known.patterns.iter().map(String::as_str)).ok();
    let selected_before = LazyCell::new(|| known.and_then(read));
    let mut cursors_of = in_step(cursors);
    for (subject, sha) in heads.iter().filter(|(s, _)| watch.source.subjects.matches(s)) {
        let mark = Mark { sha: sha.clone(), at: now };
        let before = cursors_of(subject).filter(|_| same_repo);
        sightings.extend(match before {
            Some(state) if state.gone.is_none() => moved(state, mark),
            Some(state) => Some(reborn(state, mark)),
            None => {
                let selected = || selected_before.as_ref().is_some_and(|s| s.matches(subject));
                Some(first_sight(watch, known, selected, subject, mark))
            }
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

/// Compares what a forge told of pull requests with the cursors of a watch that selects some.
///
/// As they are selected by what is known of them, one that is closed and one that is not selected any more are both gone,
/// and one that comes back is a change. So is another branch that one is to be merged into, and labels, which runs may be
/// for: then it is judged again, and runs that it has had are not made again.
#[must_use]
pub fn detect_pulls(
    watch: &Watch,
    known: Option<&WatchState>,
    cursors: &BTreeMap<Subject, Box<Cursors>>,
    changes: &PullChanges,
    now: Timestamp,
) -> Vec<Sighting> {
    let Some(selector) = &watch.source.subjects.pulls else { return Vec::new() };
    let same_repo = known.is_none_or(|k| k.repo.is_same_place(&watch.source.repo));
    let before = known.and_then(|k| k.pulls.as_deref());
    let selected: BTreeMap<Subject, &PullRequest> = changes
        .open
        .iter()
        .filter(|pull| selector.matches(pull))
        .map(|pull| (pull.number.clone().into(), pull))
        .collect();
    let told = changes.open.iter().map(|pull| &pull.number).chain(&changes.closed);
    let told: BTreeSet<&PullNumber> = told.collect();
    let mut sightings = Vec::new();
    for (subject, state) in cursors {
        let Subject::PullRequest(number) = subject else { continue };
        let is_told = changes.is_whole || told.contains(number);
        if is_told && !selected.contains_key(subject) && state.gone.is_none() {
            let unsettled = state.is_change().then(|| state.observed.sha.clone());
            let state = Cursors { gone: Some(now), parked: None, ..Cursors::clone(state) };
            sightings.push(Sighting { state, finding: Finding::Gone { unsettled } });
        }
    }
    for (subject, pull) in &selected {
        let mark = Mark { sha: pull.head.clone(), at: now };
        let sighting = match cursors.get(subject).filter(|_| same_repo) {
            Some(state) if state.gone.is_some() => Some(reborn(state, mark)),
            Some(state) if is_judged_again(state, pull) => {
                let unsettled = state.is_change().then(|| state.observed.sha.clone());
                let unsettled = unsettled.filter(|sha| *sha != pull.head);
                Some(Sighting { finding: Finding::Moved { unsettled }, ..reborn(state, mark) })
            }
            Some(state) => moved(state, mark),
            None => {
                let was_selected = || before.is_some_and(|text| selector.held_before(text, pull));
                Some(first_sight(watch, known, was_selected, subject, mark))
            }
        };
        let given = cursors.get(subject).filter(|_| same_repo);
        let given = given.and_then(|state| state.approval.as_deref());
        sightings.extend(sighting.map(|mut sighting| {
            sighting.state.approval = approval(selector, pull, given).map(Box::new);
            sighting.state.pull = Some(Box::new(PullRequest::clone(pull)));
            sighting
        }));
    }
    sightings
}

/// Whether a pull request's head must be approved. One that was given stays while head and target do, closed or not in
/// between; after anything else it is over, also for what it was given for.
pub(crate) fn approval(
    selector: &PullSelector,
    pull: &PullRequest,
    given: Option<&Approval>,
) -> Option<Approval> {
    if !selector.needs_approval(pull) {
        return None;
    }
    match given {
        Some(Approval::Given(it)) if it.covers(&pull.head, &pull.target_branch) => {
            Some(Approval::Given(it.clone()))
        }
        _ => Some(Approval::Needed),
    }
}

fn is_judged_again(state: &Cursors, pull: &PullRequest) -> bool {
    state.pull.as_ref().is_none_or(|known| !known.is_judged_as(pull))
}

fn moved(state: &Cursors, head: Mark) -> Option<Sighting> {
    if state.observed.sha == head.sha {
        return None;
    }
    let unsettled = state.is_change().then(|| state.observed.sha.clone());
    let state = Cursors { observed: head, parked: None, ..state.clone() };
    Some(Sighting { state, finding: Finding::Moved { unsettled } })
}

/// What was gone and reappears is a change, even at the commit it had.
fn reborn(state: &Cursors, head: Mark) -> Sighting {
    let state = Cursors::first_seen(state.watch.clone(), state.subject.clone(), head);
    Sighting { state, finding: Finding::Moved { unsettled: None } }
}

fn first_sight(
    watch: &Watch,
    known: Option<&WatchState>,
    selected_before: impl FnOnce() -> bool,
    subject: &Subject,
    head: Mark,
) -> Sighting {
    let mut state = Cursors::first_seen(watch.name.clone(), subject.clone(), head.clone());
    let why = match known {
        None => Some("first sight: no state was kept for this watch"),
        Some(k) if !k.repo.is_same_place(&watch.source.repo) => {
            Some("the watch's source repository changed")
        }
        Some(_) if !selected_before() => Some(match subject {
            Subject::Branch(_) => "the watch's branches were widened",
            Subject::Tag(_) => "the watch's tags were widened",
            Subject::PullRequest(_) => "the watch's pull requests were widened",
        }),
        Some(_) => None,
    };
    match why {
        Some(why) if watch.on_first_sight == OnFirstSight::Record => {
            state.baseline = Some(head.sha.clone());
            state.passed = Some(Passed { mark: head, reason: Reason::Baseline });
            Sighting { state, finding: Finding::Baseline { why } }
        }
        // One that appears later and that the watch already selected is a change.
        _ => Sighting { state, finding: Finding::Moved { unsettled: None } },
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;
    use crate::cursor::Parked;
    use crate::ids::DeliveryId;
    use crate::watch::{BranchSelector, TagSelector, sample};

    fn sha(digit: char) -> CommitSha {
        digit.to_string().repeat(40).parse().unwrap()
    }

    /// A kind of subjects, by what comes before a name in a text.
    #[derive(Debug, Clone, Copy)]
    enum Of {
        Branches,
        Tags,
    }

    const EACH: [Of; 2] = [Of::Branches, Of::Tags];

    impl Of {
        fn on(self, name: &str) -> Subject {
            match self {
                Self::Branches => Subject::Branch(name.parse().unwrap()),
                Self::Tags => Subject::Tag(name.parse().unwrap()),
            }
        }

        fn watch(self, patterns: &[&str]) -> Watch {
            let patterns = patterns.iter().copied();
            let subjects = match self {
                Self::Branches => BranchSelector::new(patterns).unwrap().into(),
                Self::Tags => {
                    let tags = Some(TagSelector::names(patterns).unwrap());
                    SubjectSelector { tags, ..SubjectSelector::default() }
                }
            };
            let mut watch = sample::watch("qa", &["main"]);
            watch.source.subjects = subjects;
            watch
        }

        fn memory(self) -> Memory {
            Memory { of: self, cursors: BTreeMap::new() }
        }
    }

    fn known(watch: &Watch) -> WatchState {
        WatchState {
            watch: watch.name.clone(),
            repo: watch.source.repo.clone(),
            patterns: watch.source.subjects.patterns().map(Cow::into_owned).collect(),
            unreachable: None,
            pulls: None,
        }
    }

    /// Keeps what `detect` says, as the engine does.
    struct Memory {
        of: Of,
        cursors: BTreeMap<Subject, Box<Cursors>>,
    }

    impl Memory {
        fn see(
            &mut self,
            watch: &Watch,
            known: Option<&WatchState>,
            list: &[(&str, char)],
        ) -> Vec<Finding> {
            let heads = list.iter().map(|(name, c)| (self.of.on(name), sha(*c))).collect();
            let found = detect(watch, known, &self.cursors, &heads, Timestamp::UNIX_EPOCH);
            for s in &found {
                if s.finding == Finding::Forgotten {
                    self.cursors.remove(&s.state.subject);
                } else {
                    self.cursors.insert(s.state.subject.clone(), Box::new(s.state.clone()));
                }
            }
            found.into_iter().map(|s| s.finding).collect()
        }

        fn deliver(&mut self, name: &str) {
            let state = self.cursors.get_mut(&self.of.on(name)).unwrap();
            state.delivered = Some(state.observed.clone());
            state.passed = None;
        }

        /// Gives the observed head up.
        fn park(&mut self, name: &str) {
            let state = self.cursors.get_mut(&self.of.on(name)).unwrap();
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

        fn is_change(&self, name: &str) -> bool {
            self.cursors[&self.of.on(name)].is_change()
        }
    }

    #[test]
    fn the_first_head_is_the_baseline_and_a_later_one_a_change() {
        for of in EACH {
            let (w, mut m) = (of.watch(&["main"]), of.memory());
            assert!(matches!(m.see(&w, None, &[("main", 'a')])[..], [Finding::Baseline { .. }]));
            assert!(!m.is_change("main"));
            let k = known(&w);
            assert_eq!(m.see(&w, Some(&k), &[("main", 'a')]), []);
            assert_eq!(m.see(&w, Some(&k), &[("main", 'b')]), [Finding::Moved { unsettled: None }]);
            assert!(m.is_change("main"));
        }
    }

    #[test]
    fn on_first_sight_deliver_makes_the_first_head_a_change() {
        for of in EACH {
            let mut w = of.watch(&["main"]);
            w.on_first_sight = OnFirstSight::Deliver;
            let mut m = of.memory();
            m.see(&w, None, &[("main", 'a')]);
            assert!(m.is_change("main"));
        }
    }

    #[test]
    fn one_that_appears_later_is_a_change_and_others_are_ignored() {
        for of in EACH {
            let (w, mut m) = (of.watch(&["main", "release/*"]), of.memory());
            m.see(&w, None, &[("main", 'a')]);
            let found =
                m.see(&w, Some(&known(&w)), &[("main", 'a'), ("release/1.0", 'b'), ("topic", 'c')]);
            assert_eq!(found, [Finding::Moved { unsettled: None }]);
            assert!(m.is_change("release/1.0"));
        }
    }

    #[test]
    fn a_widened_selector_records_baselines_and_a_narrowed_one_forgets() {
        for of in EACH {
            let (w, mut m) = (of.watch(&["main"]), of.memory());
            m.see(&w, None, &[("main", 'a')]);
            let k = known(&w);
            let wide = of.watch(&["main", "dev"]);
            let found = m.see(&wide, Some(&k), &[("main", 'a'), ("dev", 'b')]);
            assert!(matches!(found[..], [Finding::Baseline { why }] if why.contains("widened")));
            assert_eq!(m.see(&w, Some(&known(&wide)), &[("main", 'a')]), [Finding::Forgotten]);
        }
    }

    #[test]
    fn a_head_that_moves_before_it_was_delivered_is_superseded() {
        for of in EACH {
            let (w, mut m) = (of.watch(&["main"]), of.memory());
            m.see(&w, None, &[("main", 'a')]);
            let k = known(&w);
            m.see(&w, Some(&k), &[("main", 'b')]);
            assert_eq!(
                m.see(&w, Some(&k), &[("main", 'c')]),
                [Finding::Moved { unsettled: Some(sha('b')) }]
            );
        }
    }

    #[test]
    fn a_head_that_was_given_up_is_tried_again_when_it_comes_back_to_it() {
        let meanwhiles = [&[("main", 'c')][..], &[]];
        for (of, meanwhile) in EACH.into_iter().flat_map(|of| meanwhiles.map(|m| (of, m))) {
            let main = of.on("main");
            let (w, mut m) = (of.watch(&["main"]), of.memory());
            m.see(&w, None, &[("main", 'a')]);
            let k = known(&w);
            m.see(&w, Some(&k), &[("main", 'b')]);
            m.park("main");
            assert!(m.cursors[&main].is_parked());
            m.see(&w, Some(&k), meanwhile);
            assert_eq!(m.cursors[&main].parked, None, "{meanwhile:?}");
            m.see(&w, Some(&k), &[("main", 'b')]);
            assert!(m.is_change("main") && !m.cursors[&main].is_parked(), "{meanwhile:?}");
        }
    }

    #[test]
    fn a_head_moved_back_to_an_earlier_commit_is_a_change() {
        for of in EACH {
            let (w, mut m) = (of.watch(&["main"]), of.memory());
            let k = known(&w);
            m.see(&w, None, &[("main", 'a')]);
            m.see(&w, Some(&k), &[("main", 'b')]);
            m.deliver("main");
            m.see(&w, Some(&k), &[("main", 'a')]);
            assert!(m.is_change("main"));
        }
    }

    #[test]
    fn a_deleted_one_does_nothing_and_is_a_change_when_it_is_back_even_at_the_same_commit() {
        for of in EACH {
            let (w, mut m) = (of.watch(&["main", "x"]), of.memory());
            let k = known(&w);
            m.see(&w, None, &[("main", 'a'), ("x", 'b')]);
            assert_eq!(m.see(&w, Some(&k), &[("main", 'a')]), [Finding::Gone { unsettled: None }]);
            assert!(!m.is_change("x"));
            assert_eq!(m.see(&w, Some(&k), &[("main", 'a')]), []);
            m.see(&w, Some(&k), &[("main", 'a'), ("x", 'b')]);
            assert!(m.is_change("x"));
        }
    }

    #[test]
    fn another_source_repository_starts_anew() {
        for of in EACH {
            let (w, mut m) = (of.watch(&["main", "x"]), of.memory());
            let mut k = known(&w);
            m.see(&w, None, &[("main", 'a'), ("x", 'b')]);
            k.repo = "https://example.com/other/repo".parse().unwrap();
            let found = m.see(&w, Some(&k), &[("main", 'c')]);
            assert!(
                matches!(found[..], [Finding::Forgotten, Finding::Baseline { .. }]),
                "{found:?}"
            );
        }
    }

    #[test]
    fn tags_that_a_watch_of_branches_begins_to_select_are_the_baseline_and_later_ones_changes() {
        let (branches, mut both) = (sample::watch("qa", &["main"]), sample::watch("qa", &["main"]));
        both.source.subjects.tags = Some(TagSelector::versions(">=1").unwrap());
        let mut cursors = BTreeMap::new();
        let mut see = |watch: &Watch, before: &Watch, tags: &[&str]| {
            let mut heads: BTreeMap<Subject, CommitSha> =
                tags.iter().map(|name| (Of::Tags.on(name), sha('a'))).collect();
            heads.insert(Of::Branches.on("main"), sha('a'));
            let known = known(before);
            let found = detect(watch, Some(&known), &cursors, &heads, Timestamp::UNIX_EPOCH);
            let kept = found.iter().map(|s| (s.state.subject.clone(), Box::new(s.state.clone())));
            cursors.extend(kept);
            found.into_iter().map(|s| (s.state.subject.label().into_owned(), s.finding)).collect()
        };
        let _: Vec<_> = see(&branches, &branches, &["v1"]);
        let why = "the watch's tags were widened";
        let baseline = |tag: &str| (format!("tag {tag}"), Finding::Baseline { why });
        let found: Vec<_> = see(&both, &branches, &["v1", "v1.1", "x"]);
        assert_eq!(found, [baseline("v1"), baseline("v1.1")]);
        let found: Vec<_> = see(&both, &both, &["v1", "v1.1", "v1.2", "x", "y"]);
        assert_eq!(found, [("tag v1.2".to_owned(), Finding::Moved { unsettled: None })]);
    }
}
