//! What a single delivery shows on A's commit. Pure.

use std::collections::BTreeSet;

use crate::delivery::{
    BRANCH_DELETED, Delivery, DeliveryState, RunRecord, RunState, Verdict, count, failed, failures,
    verdict_of,
};
use crate::forge::StatusState;
use crate::plan::{Action, ObjectOutcome, ObjectRef, Plan};
use crate::watch::{NothingRan, ReportDetail, Watch};

/// A record for each run of a plan that the delivery has no record of yet, in the plan's order.
pub(super) fn wanted(plan: &Plan, known: &[RunRecord]) -> Vec<RunRecord> {
    let known: BTreeSet<_> = known.iter().map(|run| run.object.identity()).collect();
    let new = plan.objects.iter().filter(|p| p.is_run() && !known.contains(&p.object.identity()));
    new.map(|planned| RunRecord {
        object: planned.object.clone(),
        state: RunState::Running,
        reason: None,
        message: None,
        failure: None,
        started: None,
        completed: None,
        tasks: Vec::new(),
        rules: planned.rules,
        cancelled_by: None,
    })
    .collect()
}

/// What one delivery, or one run of it, has to show.
#[derive(Debug, Clone)]
pub(super) struct Line<'a> {
    pub(super) state: StatusState,
    pub(super) text: String,
    pub(super) delivery: &'a Delivery,
    /// The run's name on the cluster.
    pub(super) run: Option<&'a str>,
}

/// What there is to show of the delivery as a whole; nothing before it has done anything. `shown` is true if its subject
/// has shown something on the commit before it.
pub(super) fn whole<'a>(watch: &Watch, delivery: &'a Delivery, shown: bool) -> Option<Line<'a>> {
    let silent = watch.reporting.when_nothing_runs == NothingRan::Nothing;
    if silent && delivery.passed.is_some() && delivery.attempts.tries == 0 && !shown {
        return None;
    }
    let (state, text) = standing(watch, delivery)?;
    let text = match detail(watch, delivery) {
        ReportDetail::State => bare(state).to_owned(),
        ReportDetail::Counts | ReportDetail::Reasons => text,
    };
    Some(Line { state, text, delivery, run: None })
}

/// How much may be said of a delivery.
pub(super) fn detail(watch: &Watch, delivery: &Delivery) -> ReportDetail {
    watch.reporting.detail.or(delivery.detail).unwrap_or(ReportDetail::Counts)
}

/// What a state is called where nothing else may be said.
fn bare(state: StatusState) -> &'static str {
    match state {
        StatusState::Pending => "in progress",
        StatusState::Success => "succeeded",
        StatusState::Failure => "failed",
        StatusState::Error => "an error",
        StatusState::Cancelled => "cancelled",
        StatusState::Neutral => "nothing ran, or a newer commit took its place",
    }
}

fn standing(watch: &Watch, delivery: &Delivery) -> Option<(StatusState, String)> {
    let says_reasons = detail(watch, delivery) == ReportDetail::Reasons;
    let because = |what: &str| match &delivery.error {
        Some(error) if says_reasons => format!("{what}: {error}"),
        _ => what.to_owned(),
    };
    let error = || match &delivery.error {
        Some(error) if says_reasons => error.clone(),
        _ if says_reasons => String::new(),
        _ => "it could not be started or followed".to_owned(),
    };
    let tried_again = || (StatusState::Error, because("not started yet, will be retried"));
    let runs = delivery.runs.len();
    Some(match delivery.state {
        DeliveryState::Cancelled if !says_reasons => {
            (StatusState::Cancelled, cut_short(delivery, "cancelled".to_owned()))
        }
        DeliveryState::Cancelled => (StatusState::Cancelled, cancelled(delivery)),
        DeliveryState::Following => {
            let ended = runs - delivery.active_runs().count();
            let all = count(runs + delivery.run_totals().queued, "run");
            (StatusState::Pending, format!("{ended} of {all} ended"))
        }
        DeliveryState::Succeeded => match delivery.verdict {
            Some(_) => (StatusState::Success, format!("{} succeeded", count(runs, "run"))),
            // Nobody knows how they end: that is no success.
            None => {
                let text =
                    format!("{} started; their results are not followed", count(runs, "run"));
                (StatusState::Neutral, text)
            }
        },
        DeliveryState::Parked if delivery.next_attempt.is_some() => tried_again(),
        DeliveryState::NothingRan => {
            let state = match watch.reporting.when_nothing_runs {
                NothingRan::Error => StatusState::Error,
                NothingRan::Neutral | NothingRan::Nothing => StatusState::Neutral,
            };
            (state, nothing_ran(delivery))
        }
        DeliveryState::Failed | DeliveryState::Parked => match delivery.verdict {
            Some(Verdict::Failure) if says_reasons => (StatusState::Failure, failures(delivery)),
            Some(Verdict::Failure) => (StatusState::Failure, failed(delivery)),
            _ => (StatusState::Error, error()),
        },
        DeliveryState::Superseded => match delivery.verdict {
            Some(Verdict::Success) => (StatusState::Success, superseded(delivery)),
            _ => (StatusState::Neutral, superseded(delivery)),
        },
        // An outage is waited out, however long; the commit must show that nothing runs.
        _ if delivery.attempts.tries > watch.timing.max_retries => tried_again(),
        _ if delivery.attempts.tries > 0 => (StatusState::Pending, because("waiting")),
        // An attempt that is made again, after a stop or for what was queued, still has its Intent: told once.
        _ if delivery.intent.is_some() => {
            (StatusState::Pending, "the manifests are being delivered".to_owned())
        }
        DeliveryState::Pending
        | DeliveryState::Fetching
        | DeliveryState::Checking
        | DeliveryState::Applying => return None,
    })
}

/// What there is to show of each run, started or abandoned, with the name that its line has. Nothing before the
/// outcomes of an attempt tell of all runs that are called alike: a name is the same from first to last. `counted` is the
/// delivery with all runs that count beside its own.
pub(super) fn each_run<'a>(
    delivery: &'a Delivery,
    counted: &'a Delivery,
) -> impl Iterator<Item = (String, Line<'a>)> {
    let through = delivery.state.is_final() || delivery.state == DeliveryState::Following;
    let told: BTreeSet<_> = delivery.objects.iter().map(|o| o.object.identity()).collect();
    let runs = delivery.runs.iter().filter(move |r| through || told.contains(&r.object.identity()));
    let runs = runs.map(|run| (&run.object, single(delivery, run)));
    let left = delivery.objects.iter().filter_map(|o| Some((&o.object, unstarted(o, delivery)?)));
    runs.chain(left).map(|(object, (state, text))| {
        let line = Line { state, text, delivery, run: Some(&object.name) };
        (short_name(object, counted), line)
    })
}

fn single(delivery: &Delivery, run: &RunRecord) -> (StatusState, String) {
    let state = match (run.state, verdict_of(delivery, run)) {
        (RunState::Running, _) => StatusState::Pending,
        (_, Some(Verdict::Success)) => StatusState::Success,
        (_, Some(Verdict::Failure)) => StatusState::Failure,
        (_, Some(Verdict::Error)) => StatusState::Error,
        (_, None) if delivery.cancelled.is_some() && run.cancelled_by.is_none() => {
            StatusState::Cancelled
        }
        (_, None) => StatusState::Neutral,
    };
    let word = run.state.as_str();
    if let Some(cancelled) = delivery.cancelled.as_ref().filter(|_| state == StatusState::Cancelled)
    {
        return (state, cancelled.to_string());
    }
    let text = match (&run.cancelled_by, run.message.as_ref().or(run.reason.as_ref())) {
        (Some(by), _) if run.state == RunState::Cancelled => format!("{word} for {by}"),
        (_, Some(why)) => format!("{word}: {why}"),
        (_, None) if run.state == RunState::Unfollowed => "its result is unknown".to_owned(),
        (_, None) => word.to_owned(),
    };
    (state, text)
}

/// The line of a run that was not started, once that is so: it may have had one that said otherwise.
fn unstarted(outcome: &ObjectOutcome, delivery: &Delivery) -> Option<(StatusState, String)> {
    let has_record =
        delivery.runs.iter().any(|run| run.object.identity() == outcome.object.identity());
    let left = outcome.run && !outcome.action.is_acknowledged() && outcome.action != Action::Queued;
    if has_record || !left || !delivery.state.is_final() {
        return None;
    }
    let why = outcome.reason.as_deref().unwrap_or("no reason was given");
    let state = match &delivery.cancelled {
        Some(_) => StatusState::Cancelled,
        None if delivery.is_superseded() => StatusState::Neutral,
        None => StatusState::Error,
    };
    Some((state, format!("not started: {why}")))
}

/// Where the watch's `report_link` leads for a delivery, or for one of its runs.
pub(super) fn link(watch: &Watch, delivery: &Delivery, run: Option<&str>) -> Option<String> {
    let subject = delivery.revision.subject.text();
    let values = [
        ("{watch}", watch.name.as_str()),
        ("{delivery}", delivery.id.as_str()),
        ("{branch}", &subject),
        ("{revision}", delivery.revision.sha.as_str()),
        ("{namespace}", watch.cluster.namespace.as_str()),
        ("{run}", run.unwrap_or_default()),
    ];
    let template = watch.reporting.link.as_ref().filter(|template| {
        // Where no more than counts are shown, nothing of the cluster stands in a link either.
        let is_inside = ["{namespace}", "{run}"].iter().any(|word| template.contains(word));
        !is_inside || detail(watch, delivery) == ReportDetail::Reasons
    });
    // Encoded: a branch may hold `/` and `#`.
    let encoded = |value: &str| url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
    let fill = |template: &String| {
        values.iter().fold(template.clone(), |link, (name, value)| {
            let value: String = encoded(value);
            link.replace(name, &value)
        })
    };
    template.map(fill)
}

/// A run's name without the commit and the key; with its file where two runs of the delivery are called alike.
fn short_name(run: &ObjectRef, delivery: &Delivery) -> String {
    let base = run.base_name();
    let started = delivery.runs.iter().map(|run| &run.object);
    let planned = delivery.objects.iter().filter(|o| o.run).map(|o| &o.object);
    let alike = started.chain(planned).filter(|o| o.base_name() == base).map(ObjectRef::identity);
    if alike.collect::<BTreeSet<_>>().len() < 2 {
        return base.to_owned();
    }
    format!("{base} ({}, document {})", run.path, run.document)
}

/// `nothing ran: no run matched`.
fn nothing_ran(delivery: &Delivery) -> String {
    let cause =
        delivery.passed.as_ref().map_or("no reason was given", |reason| reason.kind().as_str());
    format!("nothing ran: {cause}")
}

/// `superseded by SHA; its runs: 1 succeeded, 1 cancelled`.
fn superseded(delivery: &Delivery) -> String {
    let cause = match &delivery.superseded_by {
        Some(by) => format!("superseded by {by}"),
        None => BRANCH_DELETED.to_owned(),
    };
    cut_short(delivery, cause)
}

/// `cancelled by ops; its runs: 1 succeeded, 1 cancelled`.
fn cancelled(delivery: &Delivery) -> String {
    let cause = delivery.cancelled.as_ref().map(ToString::to_string).unwrap_or_default();
    cut_short(delivery, cause)
}

fn cut_short(delivery: &Delivery, cause: String) -> String {
    let ended = |state| delivery.runs.iter().filter(|run| run.state == state).count();
    let left = delivery.objects.iter().filter(|o| o.run && !o.action.is_acknowledged()).count();
    let parts = [
        (ended(RunState::Succeeded), "succeeded"),
        (ended(RunState::Cancelled), "cancelled"),
        (left, "not started"),
    ];
    let parts = parts.iter().filter(|(number, _)| *number > 0);
    let parts: Vec<_> = parts.map(|(number, word)| format!("{number} {word}")).collect();
    match (delivery.runs.is_empty(), parts.is_empty()) {
        (true, _) => format!("{cause}: none of it ran"),
        (false, true) => cause,
        (false, false) => format!("{cause}; its runs: {}", parts.join(", ")),
    }
}

#[cfg(test)]
mod showing;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::{Asked, AttemptCounts, RUN_TIMEOUT, Reason};
    use crate::testing::sample;
    use crate::watch::sample::watch;

    fn with(states: &[RunState]) -> Delivery {
        let runs = states.iter().map(|state| RunRecord {
            reason: (*state == RunState::Unfollowed).then(|| RUN_TIMEOUT.to_owned()),
            cancelled_by: None,
            ..sample::run(*state)
        });
        Delivery {
            asked: Asked { dry_run: false, ..sample::asked(1) },
            state: DeliveryState::Following,
            superseded_by: None,
            passed: None,
            verdict: None,
            attempts: AttemptCounts::default(),
            intent: None,
            objects: vec![sample::outcome(Action::Created)],
            runs: runs.collect(),
            ..sample::delivery(1)
        }
    }

    #[test]
    fn runs_that_wait_for_room_are_among_those_that_end() {
        use RunState::{Running, Succeeded};
        let text = |delivery: &Delivery| standing(&watch("qa", &["main"]), delivery).unwrap().1;
        assert_eq!(text(&with(&[Succeeded])), "1 of 1 run ended");
        let mut queued = with(&[Succeeded, Running]);
        for n in 0..2 {
            let mut outcome = sample::outcome(Action::Queued);
            outcome.object.name = format!("queued-{n}");
            queued.objects.push(ObjectOutcome { run: true, ..outcome });
        }
        assert_eq!(text(&queued), "1 of 4 runs ended");
    }

    #[test]
    fn every_state_of_a_delivery_has_its_status() {
        let qa = watch("qa", &["main"]);
        let shown = |change: &dyn Fn(&mut Delivery)| {
            let mut delivery = with(&[RunState::Failed, RunState::Succeeded]);
            change(&mut delivery);
            whole(&qa, &delivery, false).map(|line| (line.state, line.text))
        };
        let state = |to: DeliveryState| move |d: &mut Delivery| d.state = to;
        assert_eq!(shown(&state(DeliveryState::Pending)), None);
        assert_eq!(shown(&state(DeliveryState::Checking)), None);
        let word = |s: &(StatusState, String)| s.0;
        let of = |change: &dyn Fn(&mut Delivery)| shown(change).as_ref().map(word);
        let begun = |to: DeliveryState| {
            move |d: &mut Delivery| (d.state, d.intent) = (to, sample::delivery(1).intent)
        };
        for again in [DeliveryState::Applying, DeliveryState::Pending, DeliveryState::Fetching] {
            assert_eq!(of(&begun(again)), Some(StatusState::Pending), "{again:?}");
        }
        assert_eq!(of(&state(DeliveryState::Following)), Some(StatusState::Pending));
        assert_eq!(of(&state(DeliveryState::Parked)), Some(StatusState::Error));
        assert_eq!(of(&state(DeliveryState::Superseded)), Some(StatusState::Neutral));
        let long_outage = of(&|d| (d.state, d.attempts.tries) = (DeliveryState::Pending, 4));
        assert_eq!(long_outage, Some(StatusState::Error));
        let failed = |d: &mut Delivery| {
            (d.state, d.verdict) = (DeliveryState::Failed, Some(Verdict::Failure))
        };
        let (word, text) = shown(&failed).unwrap();
        assert_eq!(word, StatusState::Failure);
        assert!(text.starts_with("1 of 2 runs failed: ci (task unit, step test"), "{text}");
    }

    #[test]
    fn only_runs_that_succeeded_are_a_success() {
        let qa = watch("qa", &["main"]);
        let ended = |verdict| Delivery {
            state: DeliveryState::Succeeded,
            verdict,
            ..with(&[RunState::Unfollowed])
        };
        let shown = |verdict| whole(&qa, &ended(verdict), false).unwrap().state;
        assert_eq!(shown(Some(Verdict::Success)), StatusState::Success);
        assert_eq!(shown(None), StatusState::Neutral, "how they end is not known");
    }

    #[test]
    fn where_nothing_ran_the_watch_says_what_is_shown() {
        let mut qa = watch("qa", &["main"]);
        let idle = Delivery {
            state: DeliveryState::NothingRan,
            passed: Some(Reason::NoRunMatched),
            ..with(&[])
        };
        let begun = Delivery {
            state: DeliveryState::Applying,
            intent: sample::delivery(1).intent,
            ..idle.clone()
        };
        let tried = Delivery {
            attempts: AttemptCounts { tries: 1, ..AttemptCounts::default() },
            ..idle.clone()
        };
        let mut shown = |when, delivery: &Delivery, before| {
            qa.reporting.when_nothing_runs = when;
            let line = whole(&qa, delivery, before);
            line.map(|line| {
                assert!(
                    line.state == StatusState::Pending
                        || line.text == "nothing ran: no run matched"
                );
                line.state
            })
        };
        assert_eq!(shown(NothingRan::Neutral, &idle, false), Some(StatusState::Neutral));
        assert_eq!(shown(NothingRan::Error, &idle, false), Some(StatusState::Error));
        assert_eq!(shown(NothingRan::Nothing, &idle, false), None);
        assert_eq!(shown(NothingRan::Nothing, &begun, false), None);
        assert_eq!(shown(NothingRan::Neutral, &begun, false), Some(StatusState::Pending));
        // What waits for its end on the commit must get one.
        assert_eq!(shown(NothingRan::Nothing, &idle, true), Some(StatusState::Neutral));
        assert_eq!(shown(NothingRan::Nothing, &tried, false), Some(StatusState::Neutral));
    }

    #[test]
    fn a_run_has_its_line_once_its_outcome_is_told_or_the_attempt_is_through() {
        for (state, told, lines) in [
            (DeliveryState::Applying, false, 0),
            (DeliveryState::Applying, true, 1),
            (DeliveryState::Pending, false, 0),
            (DeliveryState::Following, false, 1),
            (DeliveryState::Failed, false, 1),
        ] {
            let delivery = with(&[RunState::Running]);
            let object = delivery.runs[0].object.clone();
            let outcome = ObjectOutcome { object, run: true, ..sample::outcome(Action::Created) };
            let objects = if told { vec![outcome] } else { Vec::new() };
            let delivery = Delivery { state, objects, ..delivery };
            assert_eq!(each_run(&delivery, &delivery).count(), lines, "{state:?}, told: {told}");
        }
    }
}
