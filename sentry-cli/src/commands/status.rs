//! `sentry status`: per branch what was seen, what was delivered, what comes next; and whether an agent works.

use std::time::Duration;

use sentry_core::clock::Timestamp;
use sentry_core::cursor::BranchState;
use sentry_core::delivery::{Delivery, DeliveryState, Reason};
use sentry_core::store::{AgentState, DeliveryQuery, Snapshot, StateStore, Suspension, WatchState};
use sentry_core::watch::WatchName;

use super::Context;
use crate::args::StatusArgs;
use crate::exit::{Exit, Failure};
use crate::json;
use crate::ui::{Rows, Tone, Ui, age, ahead, plain, tinted};

/// An agent that did not say that it lives for so long is taken for dead: three of its beats of 10 s, and a slow disk.
const AGENT_SILENCE: Duration = Duration::from_secs(35);
/// What a loop may be late beside its three intervals: a slow request is no hang.
const LOOP_SLACK: Duration = Duration::from_secs(5);
/// How far back a branch's delivery is looked for, to count its runs.
const LOOK_BACK: usize = 200;

pub(crate) async fn run(ctx: &Context, args: &StatusArgs) -> Result<Exit, Failure> {
    let state = ctx.state_to_read()?;
    let now = ctx.now();
    let Some(store) = state.store else {
        return absent(ctx, args, &state.dir.display().to_string());
    };
    let snapshot = store.snapshot().await?;
    if args.check {
        return Ok(check(&ctx.ui, snapshot.agent.as_ref(), now));
    }
    let names = watches(ctx, &snapshot, args.watch.as_ref())?;
    if args.output.is_json() {
        ctx.ui.json(&to_json(store.as_ref(), &snapshot, &names, now).await?)?;
    } else {
        show(&ctx.ui, &snapshot, &names, now);
    }
    Ok(Exit::Done)
}

fn absent(ctx: &Context, args: &StatusArgs, dir: &str) -> Result<Exit, Failure> {
    if args.check {
        ctx.ui.line(format!("no agent has worked on the state in {dir}"));
        return Ok(Exit::Failed);
    }
    if args.output.is_json() {
        ctx.ui.json(&json::Status { version: json::VERSION, watches: Vec::new() })?;
    } else {
        ctx.ui.line(format!("no state in {dir} yet: `sentry watch` makes it"));
    }
    Ok(Exit::Done)
}

/// The watches to show: those of the configuration in its order, then those that only the state knows.
fn watches(
    ctx: &Context,
    snapshot: &Snapshot,
    only: Option<&WatchName>,
) -> Result<Vec<WatchName>, Failure> {
    let mut names = ctx.configured_watches();
    let kept = snapshot.watches.iter().map(|w| &w.watch);
    let seen = kept.chain(snapshot.branches.iter().map(|b| &b.watch));
    for name in seen.chain(snapshot.inbox.suspensions.iter().map(|s| &s.watch)) {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    match only {
        None => Ok(names),
        Some(wanted) if names.contains(wanted) => Ok(vec![wanted.clone()]),
        Some(wanted) => Err(super::unknown_watch(wanted, &names)),
    }
}

/// Whether an agent works on the state, and all its loops turn.
fn check(ui: &Ui, agent: Option<&AgentState>, now: Timestamp) -> Exit {
    match health(agent, now) {
        Ok(text) => {
            ui.line(text);
            Exit::Done
        }
        Err(text) => {
            ui.line(text);
            Exit::Failed
        }
    }
}

fn health(agent: Option<&AgentState>, now: Timestamp) -> Result<String, String> {
    let Some(agent) = agent else { return Err("no agent has worked on this state".to_owned()) };
    if passed(now, agent.beat) > AGENT_SILENCE {
        return Err(format!(
            "no agent works on this state: {} was last heard of {} ago",
            agent.holder,
            age(now, agent.beat)
        ));
    }
    let late = agent.loops.iter().find(|l| passed(now, l.beat) > l.interval * 3 + LOOP_SLACK);
    match late {
        Some(late) => Err(format!(
            "the loop of forge {} missed 3 intervals: its last round ended {} ago",
            late.forge,
            age(now, late.beat)
        )),
        None => Ok(format!("agent {} works for {}", agent.holder, age(now, agent.started))),
    }
}

fn passed(now: Timestamp, at: Timestamp) -> Duration {
    Duration::from_secs(u64::try_from(now.as_second() - at.as_second()).unwrap_or(0))
}

/// The word of the documented list, and how it is meant.
fn branch_word(branch: &BranchState, open: Option<&Delivery>) -> (&'static str, Tone) {
    if branch.gone.is_some() {
        return ("gone", Tone::Quiet);
    }
    if let Some(delivery) = open {
        return match delivery.state {
            DeliveryState::Pending if delivery.tries > 0 => ("retrying", Tone::Bad),
            DeliveryState::Pending => ("pending", Tone::Busy),
            _ => ("delivering", Tone::Busy),
        };
    }
    if branch.is_parked() {
        return ("parked", Tone::Bad);
    }
    if branch.is_change() {
        return ("pending", Tone::Busy);
    }
    match (&branch.passed, &branch.delivered) {
        (Some(passed), _) if passed.reason == Reason::Baseline => ("baseline", Tone::Plain),
        (_, None) => ("baseline", Tone::Plain),
        _ => ("delivered", Tone::Good),
    }
}

/// What a row says, from the places where it is kept.
struct Facts<'a> {
    branch: &'a BranchState,
    open: Option<&'a Delivery>,
    watch: Option<&'a WatchState>,
}

impl<'a> Facts<'a> {
    fn of(snapshot: &'a Snapshot, branch: &'a BranchState) -> Self {
        let mine = |d: &&Delivery| d.watch == branch.watch && d.revision.branch == branch.branch;
        // The one that works or waits for its next attempt comes before one that waits behind it.
        let open = snapshot.open.iter().filter(mine).min_by_key(|d| d.id.clone());
        let watch = snapshot.watches.iter().find(|w| w.watch == branch.watch);
        Self { branch, open, watch }
    }

    /// Why the branch's head is not delivered, where that was tried.
    fn delivery_error(&self) -> Option<&'a str> {
        let delivery = self.open.and_then(|d| d.error.as_deref());
        let parked = self.branch.parked.as_ref().filter(|_| self.branch.is_parked());
        delivery.or(parked.map(|p| p.error.as_str()))
    }

    fn error(&self) -> Option<&'a str> {
        let forge = || self.watch?.unreachable.as_ref().map(|o| o.error.as_str());
        self.delivery_error().or_else(forge)
    }

    fn next_attempt(&self) -> Option<Timestamp> {
        let forge = || self.watch?.unreachable.as_ref()?.next;
        self.open.and_then(|d| d.next_attempt).or_else(forge)
    }
}

fn show(ui: &Ui, snapshot: &Snapshot, names: &[WatchName], now: Timestamp) {
    let mut rows = Rows::new(&["watch", "branch", "state", "head", "seen", "delivered", "next"]);
    for name in names {
        let branches: Vec<_> = snapshot.branches.iter().filter(|b| b.watch == *name).collect();
        if branches.is_empty() {
            let quiet = |text| (text, Tone::Quiet);
            let name = (name.as_str(), Tone::Plain);
            rows.row([
                name,
                quiet("-"),
                quiet("not seen yet"),
                quiet("-"),
                quiet("-"),
                quiet("-"),
                quiet(""),
            ]);
        }
        for branch in branches {
            branch_row(&mut rows, &Facts::of(snapshot, branch), now);
        }
    }
    if rows.is_empty() {
        ui.line("nothing seen yet");
    } else {
        ui.table(&rows);
    }
    let foot = [errors(snapshot, names, now), footer(snapshot, names, now)].concat();
    if !foot.is_empty() {
        ui.line("");
    }
    for line in foot {
        ui.line(line);
    }
}

fn branch_row(rows: &mut Rows, facts: &Facts<'_>, now: Timestamp) {
    let branch = facts.branch;
    let (word, tone) = branch_word(branch, facts.open);
    let seen = format!("{} ago", age(now, branch.observed.at));
    let delivered = branch.delivered.as_ref().map_or_else(
        || "-".to_owned(),
        |mark| format!("{} {} ago", mark.sha.short(), age(now, mark.at)),
    );
    let next = facts.next_attempt().map_or_else(String::new, |at| ahead(now, at));
    rows.row([
        (branch.watch.as_str(), Tone::Plain),
        (branch.branch.as_str(), Tone::Plain),
        (word, tone),
        (branch.observed.sha.short(), Tone::Plain),
        (&seen, Tone::Quiet),
        (&delivered, Tone::Plain),
        (&next, Tone::Plain),
    ]);
}

/// What keeps watches and branches from going on.
fn errors(snapshot: &Snapshot, names: &[WatchName], now: Timestamp) -> Vec<String> {
    let mut lines = Vec::new();
    for name in names {
        let kept = snapshot.watches.iter().find(|w| w.watch == *name);
        if let Some(outage) = kept.and_then(|w| w.unreachable.as_ref()) {
            let since = age(now, outage.since);
            lines.push(format!("{name}: no answer for {since}: {}", plain(&outage.error)));
        }
        for branch in snapshot.branches.iter().filter(|b| b.watch == *name) {
            if let Some(error) = Facts::of(snapshot, branch).delivery_error() {
                lines.push(format!("{name} {}: {}", branch.branch, plain(error)));
            }
        }
    }
    lines.into_iter().map(|line| tinted(&line, Tone::Bad)).collect()
}

/// Suspensions, waiting triggers, the forges' budgets, the agent.
fn footer(snapshot: &Snapshot, names: &[WatchName], now: Timestamp) -> Vec<String> {
    let mut lines = Vec::new();
    let shown = |watch: &WatchName| names.contains(watch);
    for suspension in snapshot.inbox.suspensions.iter().filter(|s| shown(&s.watch)) {
        if in_force(suspension, now) {
            lines.push(plain(&suspension_line(suspension, now)));
        }
    }
    let waiting = snapshot.inbox.triggers.iter().filter(|t| shown(&t.watch)).count();
    if waiting > 0 {
        lines.push(format!("{} waiting", crate::ui::count(waiting, "trigger")));
    }
    let Some(agent) = &snapshot.agent else {
        lines.push(tinted("no agent has worked on this state yet", Tone::Quiet));
        return lines;
    };
    for forge in &agent.loops {
        let budget = forge.budget.map_or_else(String::new, |b| {
            let reset = b.reset.map_or_else(String::new, |at| format!(", full {}", ahead(now, at)));
            format!(", budget {} of {}{reset}", b.left, b.limit)
        });
        lines.push(format!("forge {}: asked {} ago{budget}", forge.forge, age(now, forge.beat)));
    }
    lines.push(match health(Some(agent), now) {
        Ok(text) => tinted(&plain(&text), Tone::Good),
        Err(text) => tinted(&plain(&text), Tone::Bad),
    });
    lines
}

pub(crate) fn in_force(suspension: &Suspension, now: Timestamp) -> bool {
    suspension.until.is_none_or(|until| now < until)
}

fn suspension_line(suspension: &Suspension, now: Timestamp) -> String {
    let mut line =
        format!("watch {} is suspended for {}", suspension.watch, age(now, suspension.since));
    if let Some(until) = suspension.until {
        line.push_str(&format!(", ends {}", ahead(now, until)));
    }
    if let Some(reason) = &suspension.reason {
        line.push_str(&format!(": {reason}"));
    }
    line
}

async fn to_json(
    store: &dyn StateStore,
    snapshot: &Snapshot,
    names: &[WatchName],
    now: Timestamp,
) -> Result<json::Status, Failure> {
    let mut watches = Vec::new();
    for name in names {
        let query = DeliveryQuery {
            watch: Some(name.clone()),
            limit: Some(LOOK_BACK),
            ..DeliveryQuery::default()
        };
        let recent = store.deliveries(&query).await?;
        let branches = snapshot.branches.iter().filter(|b| b.watch == *name);
        let suspended = |s: &Suspension| s.watch == *name && in_force(s, now);
        watches.push(json::WatchStatus {
            name: name.to_string(),
            suspended: snapshot.inbox.suspensions.iter().any(suspended),
            branches: branches.map(|b| branch_json(&Facts::of(snapshot, b), &recent)).collect(),
        });
    }
    Ok(json::Status { version: json::VERSION, watches })
}

fn branch_json(facts: &Facts<'_>, recent: &[Delivery]) -> json::BranchStatus {
    let branch = facts.branch;
    json::BranchStatus {
        branch: branch.branch.to_string(),
        observed: (&branch.observed).into(),
        attempted: branch.attempted.as_ref().map(Into::into),
        delivered: branch.delivered.as_ref().map(Into::into),
        state: branch_word(branch, facts.open).0,
        manifests_revision: branch.manifests.as_ref().map(ToString::to_string),
        runs: run_totals(branch, recent),
        verdict: None,
        last_error: facts.error().map(str::to_owned),
        next_attempt: facts.next_attempt().map(|at| at.to_string()),
    }
}

/// How many runs the delivered head has started; how they end is not followed.
fn run_totals(branch: &BranchState, recent: &[Delivery]) -> json::RunTotals {
    let delivered = branch.delivered.as_ref().and_then(|mark| {
        recent.iter().find(|d| {
            d.state == DeliveryState::Succeeded
                && d.revision.branch == branch.branch
                && d.revision.sha == mark.sha
        })
    });
    let started =
        |d: &Delivery| d.objects.iter().filter(|o| o.run && o.action.is_acknowledged()).count();
    json::RunTotals { total: delivered.map_or(0, started), ..json::RunTotals::default() }
}

#[cfg(test)]
mod tests {
    use sentry_core::cursor::{Mark, Parked, Passed};
    use sentry_core::store::LoopState;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    fn agent(beat: i64, round: i64) -> AgentState {
        AgentState {
            holder: "process 7 on host".into(),
            started: at(0),
            beat: at(beat),
            loops: vec![LoopState {
                forge: "hub".into(),
                beat: at(round),
                interval: Duration::from_secs(60),
                budget: None,
            }],
        }
    }

    #[test]
    fn an_agent_is_healthy_while_it_speaks_and_no_loop_missed_three_intervals() {
        assert!(health(Some(&agent(1000, 830)), at(1010)).is_ok());
        let silent = health(Some(&agent(1000, 1000)), at(1036)).unwrap_err();
        assert!(silent.contains("process 7 on host was last heard of 36s ago"), "{silent}");
        let late = health(Some(&agent(1000, 810)), at(1000)).unwrap_err();
        assert!(late.contains("forge hub missed 3 intervals"), "{late}");
        assert!(health(None, at(0)).is_err());
        assert!(health(Some(&agent(1000, 1000)), at(0)).is_ok(), "the clock was set back");
    }

    #[test]
    fn each_branch_has_a_word_of_the_documented_list() {
        let mark = |digit: &str| Mark { sha: digit.repeat(40).parse().unwrap(), at: at(0) };
        let watch = || "qa".parse::<WatchName>().unwrap();
        let seen = BranchState::first_seen(watch(), "main".parse().unwrap(), mark("1"));
        let word = |branch: &BranchState| branch_word(branch, None).0;
        assert_eq!(word(&seen), "pending");
        let baseline = Passed { mark: mark("1"), reason: Reason::Baseline };
        let baseline = BranchState { passed: Some(baseline), ..seen.clone() };
        assert_eq!(word(&baseline), "baseline");
        let delivered = BranchState { delivered: Some(mark("1")), ..seen.clone() };
        assert_eq!(word(&delivered), "delivered");
        let parked = Parked {
            mark: mark("1"),
            delivery: sentry_core::delivery::DeliveryId::new(at(0), 1),
            fingerprint: String::new(),
            manifests: None,
            error: "refused".into(),
        };
        let parked = BranchState { parked: Some(parked), ..seen };
        assert_eq!(word(&parked), "parked");
        assert_eq!(word(&BranchState { gone: Some(at(1)), ..parked }), "gone");
    }
}
