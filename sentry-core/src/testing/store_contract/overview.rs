//! The contract of what an archive shows of a whole state ([`Archive::overview`](crate::store::Archive::overview)).

use super::Handles;
use super::archive::delivered;
use crate::closed_list::ClosedList as _;
use crate::cursor::{Cursors, Passed};
use crate::delivery::{Delivery, DeliveryState, Reason, RunRecord, RunState, Verdict};
use crate::plan::{Action, ObjectOutcome};
use crate::store::{
    Brief, DeliveryQuery, Hold, Outgoing, Overview, OverviewQuery, Past, PastQuery, QueueView,
    RECENT, ReceiverView, Report, SubjectFilter, SubjectView, WatchState, WatchView, Write,
};
use crate::testing::sample;

fn cursors(watch: &str, branch: &str, observed: u32, delivered: Option<u32>) -> Cursors {
    let (watch, subject) = (sample::watch(watch), sample::subject(branch));
    let seen = Cursors::first_seen(watch, subject, sample::mark(observed));
    Cursors { delivered: delivered.map(sample::mark), ..seen }
}

/// See the name.
pub async fn an_overview_tells_what_is_kept_of_each_watch(at: Handles) {
    let (query, nothing) = (OverviewQuery::default(), Overview::default());
    assert_eq!(at.overview(&query).await, nothing);
    at.commit(&[Write::Watch(sample::watch_state(1)), Write::Agent(sample::agent(1))]).await;
    at.request(&sample::trigger(1)).await;
    at.request(&sample::trigger(2)).await;
    at.hold(&Hold::Suspend(sample::suspension("aside", 1))).await;
    let kept = |name| WatchView {
        watch: sample::watch(name),
        state: None,
        suspension: None,
        reporting: None,
        triggers: 0,
        last_success: None,
        recent: Vec::new(),
    };
    let state = Some(sample::watch_state(1));
    let app = WatchView { state, triggers: 2, ..kept("app") };
    let suspension = Some(sample::suspension("aside", 1));
    let aside = WatchView { suspension, ..kept("aside") };
    let agent = Some(sample::agent(1));
    let watches = vec![app, aside.clone()];
    assert_eq!(at.overview(&query).await, Overview { watches, agent: agent.clone(), ..nothing });
    let one = OverviewQuery { watch: Some(sample::watch("aside")), ..query };
    let overview = at.overview(&one).await;
    assert_eq!((overview.watches, overview.agent), (vec![aside], agent));
    let absent = OverviewQuery { watch: Some(sample::watch("absent")), ..one };
    assert_eq!(at.overview(&absent).await.watches, []);
}

/// See the name.
pub async fn an_overview_tells_how_a_watchs_newest_deliveries_stand(at: Handles) {
    use DeliveryState as S;
    at.commit(&[Write::Watch(sample::watch_state(1))]).await;
    let states: Vec<S> = S::all().chain(S::all()).take(RECENT + 3).collect();
    for (n, state) in (1..).zip(&states) {
        let delivery = Delivery { state: *state, ..sample::delivery(n) };
        at.commit(&[Write::Delivery(Box::new(delivery))]).await;
    }
    let foreign = Delivery { watch: sample::watch("other"), ..sample::delivery(99) };
    at.commit(&[Write::Delivery(Box::new(foreign))]).await;
    let watches = at.overview(&OverviewQuery::watches()).await.watches;
    let newest: Vec<S> = states.into_iter().rev().take(RECENT).collect();
    assert_eq!(watches.into_iter().map(|watch| watch.recent).collect::<Vec<_>>(), [newest]);
}

/// See the name.
pub async fn an_overview_counts_the_newest_run_of_each_document_of_a_head(at: Handles) {
    use RunState::{Failed, Running, Succeeded};
    let of = |n, runs: &[(usize, RunState)], state, verdict, repeats: Option<u32>| {
        let mut delivery = Delivery { state, verdict, error: None, ..delivered(n, "main", 2) };
        (delivery.passed, delivery.superseded_by) = (None, None);
        delivery.asked.repeats = repeats.map(sample::id);
        let run = |(document, state): &(usize, RunState)| {
            let mut run = RunRecord { cancelled_by: None, ..sample::run(*state) };
            (run.object.document, run.object.name) = (*document, format!("ci-{n}-{document}"));
            run
        };
        delivery.runs = runs.iter().map(run).collect();
        let outcome = |run: &RunRecord| ObjectOutcome {
            object: run.object.clone(),
            run: true,
            ..sample::outcome(Action::Created)
        };
        delivery.objects = delivery.runs.iter().map(outcome).collect();
        delivery
    };
    let first =
        of(1, &[(1, Succeeded), (2, Failed)], DeliveryState::Failed, Some(Verdict::Failure), None);
    let goes_on = of(2, &[(2, Running)], DeliveryState::Following, None, Some(1));
    let ended = of(2, &[(2, Succeeded)], DeliveryState::Succeeded, Some(Verdict::Success), Some(1));
    let cursors = cursors("app", "main", 2, Some(2));
    at.commit(&[Write::Cursors(cursors), Write::Delivery(Box::new(first))]).await;
    for (again, state, verdict) in [
        (goes_on, DeliveryState::Following, None),
        (ended, DeliveryState::Succeeded, Some(Verdict::Success)),
    ] {
        at.commit(&[Write::Delivery(Box::new(again))]).await;
        let view = at.overview(&OverviewQuery::default()).await.subjects.remove(0);
        let told = view.open.first().or(view.delivered.as_ref()).expect("a delivery");
        assert_eq!((told.state, told.verdict, told.runs.total), (state, verdict, 2));
    }
}

/// See the name.
pub async fn an_overview_tells_what_others_are_compared_with(at: Handles) {
    for n in 1..=7 {
        let branch = ["main", "next"][n as usize % 2];
        let verdict = [None, Some(Verdict::Failure)][n as usize % 2];
        let delivery = Delivery { verdict, ..delivered(n, branch, n) };
        at.commit(&[Write::Delivery(Box::new(delivery))]).await;
    }
    let bare = Delivery { finished: None, runs: Vec::new(), ..sample::open_delivery(8) };
    let foreign = Delivery { watch: sample::watch("other"), ..sample::delivery(9) };
    at.commit(&[bare, foreign].map(|delivery| Write::Delivery(Box::new(delivery)))).await;
    let all = at.deliveries(&DeliveryQuery::default()).await;
    let of_app: Vec<_> = all.iter().filter(|d| d.watch == sample::watch("app")).collect();
    let subject = Some(sample::subject("main"));
    let (before, since) = (Some(sample::id(6)), Some(sample::time(3)));
    let query = PastQuery { limit: 99, with_runs: 99, ..PastQuery::default() };
    for past in [
        query.clone(),
        PastQuery { subject, ..query.clone() },
        PastQuery { before, ..query.clone() },
        PastQuery { since, with_runs: 2, ..query.clone() },
        PastQuery { limit: 3, with_runs: 0, ..query },
    ] {
        let wanted = of_app.iter().filter(|d| past.selects(d)).take(past.limit).enumerate();
        let wanted: Vec<_> = wanted.map(|(n, d)| Past::of(d, n < past.with_runs)).collect();
        assert!(wanted.len() > 2, "{past:?}");
        let watch = Some(sample::watch("app"));
        let query = OverviewQuery { watch, past: Some(past.clone()), ..OverviewQuery::watches() };
        assert_eq!(at.overview(&query).await.past, wanted, "{past:?}");
    }
    assert_eq!(at.overview(&OverviewQuery::default()).await.past, []);
}

/// See the name.
pub async fn an_overview_tells_of_a_subject_what_is_open_newest_and_delivered(at: Handles) {
    let open = |n| Delivery { revision: sample::revision(9), ..sample::open_delivery(n) };
    let earlier = delivered(3, "main", 2);
    let without_runs = Delivery { objects: vec![], ..delivered(4, "main", 2) };
    let shown = Delivery { asked: sample::asked(5), ..delivered(5, "main", 2) };
    let foreign = Delivery { watch: sample::watch("other"), ..delivered(20, "main", 2) };
    let all = [
        delivered(1, "main", 2),
        delivered(2, "main", 1),
        earlier.clone(),
        without_runs,
        shown,
        delivered(6, "next", 2),
        open(7),
        open(8),
        foreign,
    ];
    let mut writes = all.map(|d| Write::Delivery(Box::new(d))).to_vec();
    let main = cursors("app", "main", 9, Some(2));
    let fresh = cursors("app", "fresh", 1, None);
    writes.extend([Write::Cursors(main.clone()), Write::Cursors(fresh.clone())]);
    at.commit(&writes).await;
    let brief = |delivery: &Delivery| Brief::from(delivery);
    let expected = SubjectView {
        cursors: main.clone(),
        open: vec![brief(&open(7)), brief(&open(8))],
        newest: Some(brief(&open(8))),
        delivered: Some(brief(&earlier)),
    };
    let nothing = SubjectView { cursors: fresh, open: vec![], newest: None, delivered: None };
    let overview = at.overview(&OverviewQuery::default()).await;
    assert_eq!(overview.subjects, [nothing, expected]);
    let newest = delivered(21, "main", 2);
    at.commit(&[Write::Delivery(Box::new(newest.clone()))]).await;
    let query = OverviewQuery::subject(&main.watch, &main.subject);
    let [main] = at.overview(&query).await.subjects.try_into().expect("one subject");
    assert_eq!((main.newest, main.delivered), (Some(brief(&newest)), Some(brief(&newest))));
}

/// See the name.
pub async fn an_overview_tells_of_the_subjects_that_are_asked_for(at: Handles) {
    let passed = |n| Some(Passed { mark: sample::mark(n), reason: Reason::SkippedByMarker });
    let all = [
        cursors("app", "a", 1, Some(1)),
        cursors("app", "b", 2, Some(1)),
        Cursors { passed: passed(3), ..cursors("app", "c", 3, Some(1)) },
        Cursors { passed: passed(2), ..cursors("app", "d", 3, Some(3)) },
        Cursors { gone: Some(sample::time(1)), ..cursors("app", "e", 5, None) },
        cursors("other", "a", 0xabc, None),
    ];
    at.commit(&all.clone().map(Write::Cursors)).await;
    let ask = async |watch: Option<&str>, subjects: SubjectFilter| {
        let watch = watch.map(sample::watch);
        let query = OverviewQuery { watch, subjects, ..OverviewQuery::default() };
        let found = at.overview(&query).await.subjects.into_iter();
        found
            .map(|view| all.iter().position(|c| *c == view.cursors).expect("one of them"))
            .collect::<Vec<_>>()
    };
    let none = Vec::<usize>::new();
    assert_eq!(ask(None, SubjectFilter::All).await, [0, 1, 2, 3, 4, 5]);
    assert_eq!(ask(Some("other"), SubjectFilter::All).await, [5]);
    assert_eq!(ask(None, SubjectFilter::Is(sample::subject("a"))).await, [0, 5]);
    assert_eq!(ask(Some("app"), SubjectFilter::Is(sample::subject("a"))).await, [0]);
    assert_eq!(ask(None, SubjectFilter::Unsettled).await, [1, 3, 5]);
    assert_eq!(ask(Some("app"), SubjectFilter::Unsettled).await, [1, 3]);
    let head = |n: u32| SubjectFilter::HeadStarts(sample::sha(n).to_string());
    assert_eq!(ask(None, head(3)).await, [2, 3]);
    assert_eq!(ask(Some("other"), head(3)).await, none);
    assert_eq!(ask(None, SubjectFilter::HeadStarts("%".to_owned())).await, none);
    let watches = at.overview(&OverviewQuery::watches()).await;
    assert_eq!(watches.subjects, []);
}

/// See the name.
pub async fn an_overview_is_told_page_by_page_to_its_end(at: Handles) {
    let all: Vec<Cursors> = ["app", "qa"]
        .iter()
        .flat_map(|watch| ["a", "b", "c/d"].map(|branch| cursors(watch, branch, 1, None)))
        .collect();
    let writes: Vec<Write> = all.iter().cloned().map(Write::Cursors).collect();
    at.commit(&writes).await;
    let (mut after, mut seen) = (None, Vec::new());
    loop {
        let query = OverviewQuery { after, limit: Some(4), ..OverviewQuery::default() };
        let page = at.overview(&query).await.subjects;
        let Some(last) = page.last() else { break };
        after = Some((last.cursors.watch.clone(), last.cursors.subject.clone()));
        seen.extend(page.into_iter().map(|subject| subject.cursors));
    }
    assert_eq!(seen, all);
}

/// See the name.
pub async fn an_overview_tells_why_no_statuses_are_shown(at: Handles) {
    let ask = async || {
        let overview = at.overview(&OverviewQuery::default()).await;
        overview.watches.into_iter().map(|watch| watch.reporting).collect::<Vec<_>>()
    };
    let error = || Some("refused".to_owned());
    let given_up = |n| Report { given_up: true, error: error(), ..sample::report(n) };
    let shown = |n| Report { sent: Some(sample::report(n).status.state), ..sample::report(n) };
    let in_vain = |n| Report { sent: None, error: error(), ..sample::report(n) };
    let untried = |n| Report { sent: None, error: None, ..sample::report(n) };
    let other = Report { watch: sample::watch("other"), ..given_up(9) };
    let watch_of_other = WatchState { watch: sample::watch("other"), ..sample::watch_state(1) };
    at.commit(&[Write::Watch(sample::watch_state(1)), Write::Watch(watch_of_other)]).await;
    at.commit(&[given_up(3), shown(1), given_up(2), other.clone()].map(Write::Report)).await;
    assert_eq!(ask().await, [Some(given_up(3)), Some(other.clone())]);
    at.commit(&[shown(5), untried(6), in_vain(8), in_vain(7)].map(Write::Report)).await;
    assert_eq!(ask().await, [Some(in_vain(7)), Some(other.clone())]);
    at.commit(&[shown(7), shown(8)].map(Write::Report)).await;
    assert_eq!(ask().await, [None, Some(other)]);
}

/// See the name.
pub async fn an_overview_tells_when_a_head_that_makes_something_run_was_last_delivered(
    at: Handles,
) {
    let ask = async || at.overview(&OverviewQuery::watches()).await.watches[0].last_success;
    let passed = |n| Some(Passed { mark: sample::mark(n), reason: Reason::OnlyObjects });
    let nothing_ran = Cursors { passed: passed(7), ..cursors("app", "a", 7, Some(7)) };
    at.commit(&[Write::Watch(sample::watch_state(1)), Write::Cursors(nothing_ran)]).await;
    assert_eq!(ask().await, None);
    let later = Cursors { passed: passed(9), ..cursors("app", "b", 9, Some(5)) };
    let earlier = cursors("app", "c", 4, Some(4));
    let foreign = cursors("other", "c", 8, Some(8));
    at.commit(&[later, earlier, foreign].map(Write::Cursors)).await;
    assert_eq!(ask().await, Some(sample::mark(5).at));
}

/// See the name.
pub async fn an_overview_counts_what_waits_for_room_and_for_receivers(at: Handles) {
    let queued = |n, watch| Delivery {
        watch: sample::watch(watch),
        objects: [Action::Queued, Action::Created, Action::Queued].map(sample::outcome).into(),
        ..sample::open_delivery(n)
    };
    let over = Delivery { state: DeliveryState::Superseded, ..queued(4, "app") };
    let all = [queued(1, "app"), queued(2, "app"), queued(3, "other"), over];
    at.commit(&all.map(|d| Write::Delivery(Box::new(d)))).await;
    let failed = |receiver, n, error: &str| {
        let error = Some(error.to_owned());
        Write::Notice(Box::new(Outgoing { error, ..sample::outgoing(receiver, n) }))
    };
    let fresh = Outgoing { error: None, ..sample::outgoing("chat", 1) };
    let fresh = Write::Notice(Box::new(fresh));
    at.commit(&[failed("chat", 3, "late"), failed("chat", 2, "first"), fresh]).await;
    at.commit(&[failed("hook", 5, "no route")]).await;
    let overview = at.overview(&OverviewQuery::watches()).await;
    let namespace = sample::outcome(Action::Queued).object.namespace;
    let runs =
        |watch, runs| QueueView { watch: sample::watch(watch), namespace: namespace.clone(), runs };
    assert_eq!(overview.queue, [runs("app", 4), runs("other", 2)]);
    let waits = |receiver: &str, waiting, n, error: &str| ReceiverView {
        receiver: receiver.to_owned(),
        waiting,
        since: sample::outgoing(receiver, n).notice.at,
        error: Some(error.to_owned()),
    };
    assert_eq!(overview.receivers, [waits("chat", 3, 1, "first"), waits("hook", 1, 5, "no route")]);
    let other = OverviewQuery { watch: Some(sample::watch("other")), ..OverviewQuery::watches() };
    let overview = at.overview(&other).await;
    assert_eq!((overview.queue, overview.receivers), (vec![runs("other", 2)], vec![]));
}
