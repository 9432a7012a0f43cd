//! What is compared: a delivery with those before it and with the others of its commit, a watch's deliveries by day.

use std::collections::BTreeMap;

use sentry_core::clock::Timestamp;
use sentry_core::delivery::{Delivery, RunState};
use sentry_core::names::WatchName;
use sentry_core::plan::base_name;
use sentry_core::store::{Brief, DeliveryQuery, OverviewQuery, Past, PastQuery, PastRun};

use super::Local;
use crate::error::ApiError;
use crate::shape::{Earlier, Pace, PaceDay, PaceRun, Show};
use crate::words::DeliveryState;

/// A delivery is compared with so many before it.
const BEFORE: usize = 30;
/// From so many runs on there is something that is usual.
const USUAL: usize = 3;
/// So many deliveries of one commit are told.
const SAME_COMMIT: usize = 10;
/// A pace is that of so many seconds, of so many deliveries at most, and of the runs of so many.
const PACE: (i64, usize, usize) = (30 * DAY, 1000, 100);
/// So many documents are among the slowest.
const SLOWEST: usize = 5;
const DAY: i64 = 86_400;

async fn past(local: &Local, watch: &WatchName, past: PastQuery) -> Result<Vec<Past>, ApiError> {
    let (watch, past) = (Some(watch.clone()), Some(past));
    let query = OverviewQuery { watch, past, ..OverviewQuery::watches() };
    Ok(local.store.archive.overview(&query).await?.past)
}

/// Tells what the delivery that is shown is compared with.
pub(super) async fn compare(
    local: &Local,
    delivery: &Delivery,
    show: &mut Show,
) -> Result<(), ApiError> {
    let subject = Some(delivery.revision.subject.clone());
    let before = Some(delivery.id.clone());
    let query = PastQuery { subject, before, since: None, limit: BEFORE, with_runs: BEFORE };
    let past = past(local, &delivery.watch, query).await?;
    let other = past.iter().find(|past| {
        past.revision.sha != delivery.revision.sha && !past.dry_run && was_delivered(past)
    });
    show.before = other.map(|past| Earlier {
        delivery: past.id.to_string(),
        revision: past.revision.sha.to_string(),
    });
    let times = by_document(&past);
    let outcomes = delivery.objects.iter().filter(|outcome| outcome.run);
    for (run, outcome) in show.delivery.runs.iter_mut().zip(outcomes) {
        let known = times.get(&(outcome.object.path.as_str(), outcome.object.document));
        run.usual_ms = known.filter(|runs| runs.len() >= USUAL).and_then(|runs| middle(runs));
    }
    tell_attempts(show, delivery, &of_commit(local, delivery).await?);
    Ok(())
}

/// True if its objects are on the cluster.
fn was_delivered(past: &Past) -> bool {
    matches!(past.state, DeliveryState::Succeeded | DeliveryState::Following)
        || past.verdict.is_some()
}

/// All deliveries of the commit of a delivery, oldest first.
async fn of_commit(local: &Local, delivery: &Delivery) -> Result<Vec<Delivery>, ApiError> {
    let query = DeliveryQuery {
        watch: Some(delivery.watch.clone()),
        subject: Some(delivery.revision.subject.clone()),
        sha: Some(delivery.revision.sha.clone()),
        ..DeliveryQuery::default()
    };
    let mut found = local.store.archive.deliveries(&query).await?;
    found.reverse();
    Ok(found)
}

/// Tells the deliveries of its commit, oldest first, and how they stand together.
fn tell_attempts(show: &mut Show, delivery: &Delivery, all: &[Delivery]) {
    if all.len() < 2 {
        return;
    }
    let newest = all.iter().rev().take(SAME_COMMIT);
    show.same_commit = newest.map(Into::into).collect();
    show.same_commit.iter_mut().for_each(|shape| shape.objects.retain(|object| object.run));
    let counts = |one: &&Delivery| !one.asked.dry_run && one.asked.event == delivery.asked.event;
    let newest = all.iter().rev().find(counts);
    let counted = newest.and_then(|newest| Brief::counted(all, &newest.id));
    show.counted = counted.as_ref().map(Into::into);
}

/// A run that succeeded: how long it took, and the delivery that it is of.
type Timed<'a> = (u64, &'a Past, &'a PastRun);
/// The runs of each document, by file and place in it; the shortest first.
type Times<'a> = BTreeMap<(&'a str, usize), Vec<Timed<'a>>>;

fn by_document(past: &[Past]) -> Times<'_> {
    let mut times = Times::new();
    for delivery in past {
        for run in delivery.runs.iter().filter(|run| run.state == RunState::Succeeded) {
            let Some((started, ended)) = run.started.zip(run.completed) else { continue };
            let runs = times.entry((run.path.as_str(), run.document)).or_default();
            runs.push((millis(started, ended), delivery, run));
        }
    }
    times.values_mut().for_each(|runs| runs.sort_by_key(|(time, ..)| *time));
    times
}

fn millis(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.as_millisecond() - from.as_millisecond()).unwrap_or_default()
}

/// Of an even number the lower one of the two: something that there was.
fn middle(runs: &[Timed<'_>]) -> Option<u64> {
    runs.get(runs.len().saturating_sub(1) / 2).map(|(time, ..)| *time)
}

/// How the deliveries of a watch went.
pub(super) async fn pace(local: &Local, watch: &WatchName) -> Result<Pace, ApiError> {
    let (seconds, limit, with_runs) = PACE;
    let first = local.clock.now().as_second() - seconds;
    let since = Timestamp::from_second(first).unwrap_or(Timestamp::UNIX_EPOCH);
    let query = PastQuery { subject: None, before: None, since: Some(since), limit, with_runs };
    let past = past(local, watch, query).await?;
    let since = match past.last() {
        Some(oldest) if past.len() == limit => oldest.started,
        _ => since,
    };
    Ok(of(&past, since))
}

fn of(past: &[Past], since: Timestamp) -> Pace {
    let mut days = BTreeMap::<i64, Vec<(u64, bool)>>::new();
    for delivery in past.iter().filter(|past| !past.dry_run) {
        let failed = match delivery.state {
            DeliveryState::Succeeded => false,
            DeliveryState::Failed | DeliveryState::Parked => true,
            _ => continue,
        };
        let time = millis(delivery.started, delivery.finished.unwrap_or(delivery.started));
        days.entry(delivery.started.as_second().div_euclid(DAY)).or_default().push((time, failed));
    }
    let days: Vec<PaceDay> = days.into_iter().map(day).collect();
    Pace {
        since,
        deliveries: days.iter().map(|day| day.deliveries).sum(),
        failed: days.iter().map(|day| day.failed).sum(),
        days,
        slowest: slowest(past),
    }
}

fn day((number, mut of_day): (i64, Vec<(u64, bool)>)) -> PaceDay {
    of_day.sort_unstable();
    let median = of_day.get(of_day.len().saturating_sub(1) / 2);
    PaceDay {
        day: Timestamp::from_second(number * DAY).unwrap_or(Timestamp::UNIX_EPOCH),
        deliveries: of_day.len(),
        failed: of_day.iter().filter(|(_, failed)| *failed).count(),
        median_ms: median.map(|(time, _)| *time).unwrap_or_default(),
    }
}

fn slowest(past: &[Past]) -> Vec<PaceRun> {
    let times = by_document(past);
    let run = |((path, _), runs): (&(&str, usize), &Vec<Timed<'_>>)| {
        let (longest_ms, delivery, run) = *runs.last()?;
        Some(PaceRun {
            name: base_name(&run.name).to_owned(),
            path: (*path).to_owned(),
            runs: runs.len(),
            median_ms: middle(runs)?,
            longest_ms,
            delivery: delivery.id.to_string(),
        })
    };
    let mut slowest: Vec<PaceRun> = times.iter().filter_map(run).collect();
    slowest.sort_by(|a, b| (b.median_ms, &a.name).cmp(&(a.median_ms, &b.name)));
    slowest.truncate(SLOWEST);
    slowest
}

#[cfg(test)]
mod tests {
    use sentry_core::testing::sample;

    use super::*;

    fn past(n: u32, state: DeliveryState, seconds: u32) -> Past {
        let delivery =
            Delivery { state, finished: Some(sample::time(n + seconds)), ..sample::delivery(n) };
        Past { dry_run: false, ..Past::of(&delivery, true) }
    }

    #[test]
    fn a_pace_counts_what_ended_and_could_fail() {
        use DeliveryState as S;
        let mut all = vec![
            past(9, S::Following, 50),
            past(7, S::Succeeded, 10),
            past(6, S::Failed, 30),
            past(5, S::Superseded, 90),
            past(4, S::NothingRan, 90),
            past(3, S::Parked, 20),
            Past { dry_run: true, ..past(2, S::Failed, 9) },
        ];
        for past in &mut all {
            past.runs.iter_mut().for_each(|run| run.state = RunState::Succeeded);
        }
        let pace = of(&all, sample::time(1));
        assert_eq!((pace.deliveries, pace.failed, pace.days.len()), (3, 2, 1));
        assert_eq!((pace.days[0].median_ms, pace.days[0].failed), (20_000, 2));
        let [slow] = &pace.slowest[..] else { panic!("{pace:?}") };
        assert_eq!((slow.name.as_str(), slow.runs), ("ci", 7));
        assert_eq!((slow.median_ms, slow.longest_ms), (6_000, 6_000));
        let none = of(&[], sample::time(1));
        assert_eq!((none.deliveries, none.days.len(), none.slowest.len()), (0, 0, 0));
    }
}
