//! When a repository is asked, what it is asked, and what an answer changes: tables over groups without an agent.

use super::*;
use crate::cursor::Parked;
use crate::forge::PullChanges;
use crate::pull::PullSelector;
use crate::testing::sample;
use crate::watch::sample::watch;
use crate::watch::{BranchSelector, ManifestsBranch};

const MINUTE: Duration = Duration::from_secs(60);

/// The group of A and that of B, of these watches.
fn groups_of(watches: &[Watch]) -> [Group; 2] {
    let watches = watches.iter().map(|watch| (watch.name.clone(), Arc::new(watch.clone())));
    groups(&watches.collect(), Instant::now()).try_into().expect("A and B")
}

fn qa() -> Watch {
    watch("qa", &["main"])
}

fn moment() -> Moment {
    Moment { instant: Instant::now(), stamp: sample::time(1) }
}

/// What is known of a watch that was polled as it is now.
fn seen(watch: &Watch) -> WatchState {
    WatchState {
        watch: watch.name.clone(),
        repo: watch.source.repo.clone(),
        patterns: watch.source.subjects.patterns().map(|p| p.into_owned()).collect(),
        unreachable: None,
        pulls: pulls_of(watch),
    }
}

fn ledger(writes: impl IntoIterator<Item = Write>) -> Ledger {
    let mut ledger = Ledger::default();
    writes.into_iter().for_each(|write| ledger.apply(write));
    ledger
}

fn error(kind: ForgeErrorKind) -> ForgeError {
    ForgeError::new(kind, "no")
}

fn heads(heads: &[(&str, u32)]) -> HeadsAnswer {
    let heads = heads.iter().map(|(name, n)| (sample::subject(name), sample::sha(*n)));
    HeadsAnswer::Heads(HeadList { heads: heads.collect(), ..HeadList::default() })
}

impl Group {
    fn answered(&mut self, answer: Result<HeadsAnswer, ForgeError>, ledger: &Ledger) -> Absorbed {
        let subjects = SubjectSelector::named(&BTreeSet::new());
        let query = HeadsQuery { repo: self.repo.clone(), subjects, validator: None };
        self.absorb(&query, answer, ledger, moment(), &Backoff::default())
    }

    /// The shortest, the longest and the mean wait after so many of these failures in a row, in seconds.
    fn waits(&mut self, error: &ForgeError, failures: u32) -> [f64; 3] {
        self.failures = failures;
        let draws = 4_000_u32;
        let draw = |_| self.wait_after(error, &Backoff::default()).as_secs_f64();
        let all: Vec<f64> = (0..draws).map(draw).collect();
        let (least, most) =
            all.iter().fold((f64::MAX, 0.0_f64), |(l, m), w| (l.min(*w), m.max(*w)));
        [least, most, all.iter().sum::<f64>() / f64::from(draws)]
    }
}

/// True if the waits are spread evenly between the two.
fn spread([least, most, mean]: [f64; 3], from: f64, to: f64) -> bool {
    let near = (to - from) * 0.05;
    let is_near = |one: f64, other: f64| (one - other).abs() <= near;
    (from..=to).contains(&least)
        && (from..=to).contains(&most)
        && is_near(least, from)
        && is_near(most, to)
        && is_near(mean, f64::midpoint(from, to))
}

#[test]
fn an_outage_is_checked_each_five_minutes_at_least_and_a_failure_of_its_own_slows_down() {
    fastrand::seed(7);
    let [mut a, _] = groups_of(&[qa()]);
    let refused = error(ForgeErrorKind::Unauthorized);
    assert_eq!(a.waits(&refused, 30), [60.0, 60.0, 60.0], "the forge holds requests back");
    for kind in [ForgeErrorKind::Unreachable, ForgeErrorKind::RateLimited] {
        for (failures, to) in [(1, 2.0), (5, 32.0), (30, 300.0)] {
            let waits = a.waits(&error(kind), failures);
            assert!(spread(waits, to / 2.0, to), "{kind:?}, {failures} failures: {waits:?}");
        }
    }
    for kind in [ForgeErrorKind::WrongAnswer, ForgeErrorKind::TooLarge, ForgeErrorKind::NotFound] {
        for (failures, from, to) in [(1, 1.0, 2.0), (9, 256.0, 512.0), (10, 513.0, 540.0)] {
            let waits = a.waits(&error(kind), failures);
            assert!(spread(waits, from, to), "{kind:?}, {failures} failures: {waits:?}");
        }
    }
    // A slow watch is asked no more often because its forge is away.
    let mut slow = qa();
    slow.timing.polling_interval = 10 * MINUTE;
    let [mut a, _] = groups_of(&[slow]);
    let waits = a.waits(&error(ForgeErrorKind::Unreachable), 30);
    assert!(spread(waits, 300.0, 600.0), "{waits:?}");
}

#[test]
fn polls_are_spread_over_a_twentieth_of_their_interval() {
    fastrand::seed(7);
    let [mut a, _] = groups_of(&[qa()]);
    let mut all = Vec::new();
    for round in 1..=4_000 {
        let now = moment();
        let (subjects, repo) = (SubjectSelector::named(&BTreeSet::new()), a.repo.clone());
        let query = HeadsQuery { repo, subjects, validator: None };
        a.in_flight = true;
        let answer = Ok(HeadsAnswer::NotModified);
        a.absorb(&query, answer, &Ledger::default(), now, &Backoff::default());
        all.push((a.due - now.instant).as_secs_f64());
        assert_eq!((a.in_flight, a.rounds, a.answered), (false, round, Some(now.instant)));
    }
    let (least, most) = all.iter().fold((f64::MAX, 0.0_f64), |(l, m), w| (l.min(*w), m.max(*w)));
    let mean = all.iter().sum::<f64>() / 4_000.0;
    assert!(spread([least, most, mean], 60.0, 63.0), "{least} {most} {mean}");
}

#[test]
fn a_hint_counts_a_second_after_the_last_answer_and_not_where_the_forge_fails() {
    let start = Instant::now();
    let at = |millis: u64| start + Duration::from_millis(millis);
    let due = |change: &dyn Fn(&mut Group), hinted: u64| {
        let [mut a, _] = groups_of(&[qa()]);
        (a.due, a.answered) = (at(60_000), Some(at(0)));
        change(&mut a);
        a.hint(at(hinted));
        a
    };
    let none: &dyn Fn(&mut Group) = &|_| {};
    assert_eq!(due(none, 0).due, at(1_000));
    assert_eq!(due(none, 999).due, at(1_000));
    assert_eq!(due(none, 1_500).due, at(1_500));
    assert_eq!(due(none, 70_000).due, at(60_000), "it is due already");
    assert_eq!(due(&|a| a.answered = None, 10).due, at(10));
    assert_eq!(due(&|a| a.failures = 1, 1_500).due, at(60_000));
    let mut asked = due(&|a| a.in_flight = true, 1_500);
    assert_eq!(asked.due, at(60_000));
    asked.schedule(MINUTE, at(2_000));
    assert_eq!((asked.due, asked.hinted), (at(3_000), false), "its answer may be older");
    asked.schedule(MINUTE, at(4_000));
    assert_eq!(asked.due, at(64_000));
}

#[test]
fn an_outage_is_kept_with_its_beginning_and_its_end_is_told_with_its_length() {
    let [mut a, _] = groups_of(&[qa()]);
    let failed = a.answered(Err(error(ForgeErrorKind::NotFound)), &Ledger::default());
    assert!(a.is_failing());
    let kept = |absorbed: &Absorbed| match &absorbed.writes[..] {
        [Write::Watch(state)] => state.unreachable.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(kept(&failed).unwrap().since, sample::time(1));
    let (_, since) = a.outage.unwrap();
    a.outage = Some((sample::time(1), since.checked_sub(5 * MINUTE).unwrap()));
    let well = a.answered(Ok(heads(&[("main", 1)])), &ledger(failed.writes));
    assert!(!a.is_failing() && a.outage.is_none());
    let after = well.events.iter().find_map(|event| match event {
        EventKind::ForgeRecovered { after, .. } => Some(*after),
        _ => None,
    });
    assert!((5 * MINUTE..6 * MINUTE).contains(&after.unwrap()), "{after:?}");
    let ended = |write: &&Write| matches!(write, Write::Watch(w) if w.unreachable.is_none());
    assert!(well.writes.iter().any(|write| ended(&write)), "{:?}", well.writes);
}

/// The state of `main`, whose head `n` is delivered with B's head `b`.
fn delivered(n: u32, b: u32) -> Cursors {
    Cursors {
        watch: sample::watch("qa"),
        observed: sample::mark(n),
        delivered: Some(sample::mark(n)),
        manifests: Some(sample::sha(b)),
        manifests_attempted: None,
        passed: None,
        parked: None,
        gone: None,
        ..sample::cursors(1)
    }
}

/// The same, but the head is parked: B was at `b` then.
fn parked(n: u32, b: Option<u32>, regardless: bool) -> Cursors {
    let known = sample::cursors(1).parked.unwrap();
    let (mark, manifests) = (sample::mark(n), b.map(sample::sha));
    let parked = Parked { mark, manifests, regardless_of_b: regardless, ..*known };
    Cursors { delivered: None, parked: Some(Box::new(parked)), ..delivered(n, 0) }
}

#[test]
fn a_validator_is_handed_back_where_all_that_it_stands_for_was_seen() {
    let other = watch("other", &["release/*"]);
    let [a, b] = groups_of(&[qa(), other.clone()]);
    let asked = |group: &Group, writes: Vec<Write>| {
        let plain = ledger(writes.clone());
        let query = group.query(&plain)?;
        let key = group.validator_key(&query.subjects);
        let known = Write::Validator(key, Some(sample::validator(1)));
        let again = group.query(&ledger(writes.into_iter().chain([known]))).unwrap();
        Some(again.validator == Some(sample::validator(1)))
    };
    let both = |one: WatchState, two: WatchState| vec![Write::Watch(one), Write::Watch(two)];
    assert_eq!(asked(&a, both(seen(&qa()), seen(&other))), Some(true));
    assert_eq!(asked(&a, vec![Write::Watch(seen(&qa()))]), Some(false));
    let patterns = WatchState { patterns: vec!["dev".to_owned()], ..seen(&other) };
    assert_eq!(asked(&a, both(seen(&qa()), patterns)), Some(false));
    let moved = WatchState { repo: sample::parse("https://else.example/app"), ..seen(&other) };
    assert_eq!(asked(&a, both(seen(&qa()), moved)), Some(false));
    // Nobody waits for B; then a parked head does, and what B was is not known yet.
    assert_eq!(asked(&b, Vec::new()), None);
    let waits = Write::Cursors(parked(1, Some(5), false));
    assert_eq!(asked(&b, vec![waits.clone()]), Some(false));
    let [_, mut b] = groups_of(&[qa()]);
    b.last = Some(BTreeMap::new());
    assert_eq!(asked(&b, vec![waits]), Some(true));
    let keys: BTreeSet<_> =
        [&a, &b].iter().map(|g| g.validator_key(&qa().source.subjects)).collect();
    assert_eq!(keys.len(), 2, "{keys:?}");
    let with = |names: &[&str]| a.validator_key(&watch("x", names).source.subjects);
    assert_ne!(with(&["main"]), with(&["main", "dev"]));
}

#[test]
fn pull_requests_are_asked_for_where_a_watch_selects_them_and_by_what_all_of_them_saw() {
    let pulling = |name: &str, target: Option<&str>| {
        let mut watch = watch(name, &["main"]);
        let target = target.map(|target| BranchSelector::new([target]).unwrap());
        watch.source.subjects.pulls = Some(PullSelector { target, ..PullSelector::default() });
        watch
    };
    let [a, _] = groups_of(&[qa()]);
    assert!(a.pulls_query(&Ledger::default()).is_none());
    let (one, two) = (pulling("one", None), pulling("two", Some("main")));
    let [mut a, _] = groups_of(&[one.clone(), two.clone(), qa()]);
    let key = Write::Validator(a.pulls_key(), Some(sample::validator(1)));
    let asked = |states: &[WatchState]| {
        let states = states.iter().cloned().map(Write::Watch);
        a.pulls_query(&ledger(states.chain([key.clone()]))).unwrap().validator.is_some()
    };
    assert!(asked(&[seen(&one), seen(&two)]));
    assert!(!asked(&[seen(&one)]));
    assert!(!asked(&[seen(&one), WatchState { pulls: None, ..seen(&two) }]));
    assert!(!asked(&[seen(&one), WatchState { pulls: pulls_of(&one), ..seen(&two) }]));
    let moved = WatchState { repo: sample::parse("https://else.example/app"), ..seen(&two) };
    assert!(!asked(&[seen(&one), moved]));
    let [other, _] = groups_of(&[pulling("one", None)]).map(|mut group| {
        group.forge = "else".to_owned();
        group.pulls_key()
    });
    assert_ne!(other, a.pulls_key());

    // An error is told when it is a new one; a validator is written when it is.
    let told = |a: &mut Group, answer| {
        let absorbed = a.absorb_pulls(answer, &Ledger::default(), sample::time(1));
        (absorbed.events.len(), absorbed.writes.len())
    };
    let (away, refused) = (ForgeErrorKind::Unreachable, ForgeErrorKind::Unauthorized);
    assert_eq!(told(&mut a, Err(error(away))), (1, 0));
    assert_eq!(told(&mut a, Err(error(away))), (0, 0));
    assert_eq!(told(&mut a, Err(ForgeError::new(refused, "another"))), (1, 0));
    assert_eq!(told(&mut a, Ok(PullsAnswer::NotModified)), (0, 0));
    assert_eq!(told(&mut a, Err(error(away))), (1, 0));
    let changes = |validator| PullChanges {
        open: Vec::new(),
        closed: Vec::new(),
        is_whole: false,
        validator,
    };
    let none = changes(None);
    assert_eq!(told(&mut a, Ok(PullsAnswer::Pulls(none))), (0, 0));
    assert_eq!(told(&mut a, Err(error(away))), (1, 0));
    let new = changes(Some(sample::validator(2)));
    assert_eq!(told(&mut a, Ok(PullsAnswer::Pulls(new))), (0, 1));
    let known = ledger([Write::Validator(a.pulls_key(), Some(sample::validator(2)))]);
    let same = PullsAnswer::Pulls(changes(Some(sample::validator(2))));
    assert!(a.absorb_pulls(Ok(same), &known, sample::time(1)).writes.is_empty());
}

#[test]
fn a_parked_head_is_taken_up_once_b_has_moved_since() {
    let unparked = |state: Cursors, b: Option<u32>| {
        let [_, mut group] = groups_of(&[qa()]);
        let heads: Vec<_> = b.into_iter().map(|n| ("main", n)).collect();
        let absorbed = group.answered(Ok(self::heads(&heads)), &ledger([Write::Cursors(state)]));
        let freed = |write: &Write| matches!(write, Write::Cursors(c) if c.parked.is_none());
        absorbed.writes.iter().any(freed)
    };
    assert!(unparked(parked(1, Some(5), false), Some(6)));
    assert!(unparked(parked(1, None, false), Some(6)), "there was no such branch");
    assert!(!unparked(parked(1, Some(5), false), Some(5)));
    assert!(!unparked(parked(1, Some(5), false), None), "it is gone");
    assert!(!unparked(parked(1, None, false), None));
    assert!(!unparked(parked(1, Some(5), true), Some(6)), "it is not about B");
    assert!(!unparked(delivered(1, 5), Some(6)));
}

#[test]
fn where_a_watch_follows_b_a_settled_head_is_delivered_again_once_for_each_head_of_b() {
    let follows = |does: bool, state: Cursors, b: Option<u32>| {
        let mut watch = qa();
        watch.watch_manifests = does;
        let source = ManifestsBranch::SourceBranch;
        watch.manifests.branches = vec![source, ManifestsBranch::Named(sample::parse("main"))];
        let [_, mut group] = groups_of(&[watch]);
        let ledger = ledger([Write::Cursors(state)]);
        let wanted = group.query(&ledger).is_some();
        let heads: Vec<_> = b.into_iter().map(|n| ("main", n)).collect();
        group.answered(Ok(self::heads(&heads)), &ledger);
        let moved = group.moved_manifests(&ledger);
        let moved: Vec<_> = moved.into_iter().map(|(_, sha)| sha).collect();
        (wanted, moved == [sample::sha(6)], moved.is_empty())
    };
    let (yes, no) = ((true, true, false), (true, false, true));
    assert_eq!(follows(true, delivered(1, 5), Some(6)), yes);
    assert_eq!(follows(true, delivered(1, 6), Some(6)), no);
    assert_eq!(follows(true, delivered(1, 5), None), no);
    assert_eq!(follows(false, delivered(1, 5), Some(6)), (false, false, true));
    let tried = Cursors { manifests_attempted: Some(sample::sha(6)), ..delivered(1, 5) };
    assert_eq!(follows(true, tried, Some(6)), no);
    let tried = Cursors { manifests_attempted: Some(sample::sha(5)), ..delivered(1, 4) };
    assert_eq!(follows(true, tried, Some(6)), yes);
    let never = Cursors { manifests: None, ..delivered(1, 5) };
    assert_eq!(follows(true, never, Some(6)), no);
    let waits = Cursors { delivered: Some(sample::mark(0)), ..delivered(1, 5) };
    assert_eq!(follows(true, waits, Some(6)), no);
    let gone = Cursors { gone: Some(sample::time(3)), ..delivered(1, 5) };
    assert_eq!(follows(true, gone, Some(6)), (false, false, true));
    let tag = Cursors { subject: sample::subject("refs/tags/v1"), ..delivered(1, 5) };
    assert_eq!(follows(true, tag, Some(6)), (false, false, true));
    let parked = Cursors { subject: sample::subject("refs/tags/v1"), ..parked(1, Some(5), false) };
    assert!(follows(true, parked, Some(6)).0, "what is parked asks for B all the same");
}

#[test]
fn patterns_that_match_nothing_and_validators_are_told_and_kept_when_they_change() {
    let [mut a, _] = groups_of(&[watch("qa", &["main", "mian"])]);
    let idle = |absorbed: Absorbed| {
        let patterns = absorbed.events.into_iter().filter_map(|event| match event {
            EventKind::PatternsIdle { patterns, .. } => Some(patterns),
            _ => None,
        });
        patterns.collect::<Vec<_>>()
    };
    let none = Ledger::default();
    assert_eq!(idle(a.answered(Ok(heads(&[("main", 1)])), &none)), [["mian"]]);
    assert!(idle(a.answered(Ok(heads(&[("main", 2)])), &none)).is_empty());
    assert_eq!(idle(a.answered(Ok(heads(&[("main", 2), ("mian", 2)])), &none)), [[""; 0]]);

    let with = |a: &mut Group, validator: Option<u32>, ledger: &Ledger| {
        let validator = validator.map(sample::validator);
        let heads = BTreeMap::from([(sample::subject("main"), sample::sha(1))]);
        let list = HeadList { heads, validator, ..HeadList::default() };
        let writes = a.answered(Ok(HeadsAnswer::Heads(list)), ledger).writes;
        writes.into_iter().find(|write| matches!(write, Write::Validator(..)))
    };
    let first = with(&mut a, Some(1), &none).unwrap();
    let known = ledger([first]);
    assert!(with(&mut a, Some(1), &known).is_none());
    assert!(matches!(with(&mut a, Some(2), &known), Some(Write::Validator(_, Some(_)))));
    assert!(matches!(with(&mut a, None, &known), Some(Write::Validator(_, None))));
    assert!(a.last.is_none(), "nobody waits for heads of A as of B");
}
