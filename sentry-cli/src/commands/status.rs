//! `sentry status`: per branch what was seen, what was delivered, what comes next; and whether an agent works.

mod facts;
mod health;

use std::collections::BTreeMap;

use sentry_config::ForgeKind;
use sentry_core::clock::Timestamp;
use sentry_core::delivery::Delivery;
use sentry_core::plan::Action;
use sentry_core::store::{DeliveryQuery, Report, Snapshot, StateStore, Suspension};
use sentry_core::watch::{Watch, WatchName};

use self::facts::Facts;
use self::health::{LOOP_SLACK, check, health, passed};
use super::Context;
use crate::args::StatusArgs;
use crate::exit::{Exit, Failure};
use crate::json;
use crate::runs::{Totals, verdict_tone};
use crate::ui::{Rows, Tone, Ui, age, ahead, count, plain, span, tinted};

/// How far back a branch's delivery is looked for, to tell its runs.
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
    let recent = recent(store.as_ref(), &names).await?;
    let mute = without_statuses(ctx);
    let known = Known { snapshot: &snapshot, names: &names, recent: &recent, mute: &mute, now };
    if args.output.is_json() {
        ctx.ui.json(&known.to_json())?;
    } else {
        known.show(&ctx.ui);
    }
    Ok(Exit::Done)
}

/// Each watch's deliveries, newest first.
async fn recent(
    store: &dyn StateStore,
    names: &[WatchName],
) -> Result<BTreeMap<WatchName, Vec<Delivery>>, Failure> {
    let mut recent = BTreeMap::new();
    for name in names {
        let query = DeliveryQuery {
            watch: Some(name.clone()),
            limit: Some(LOOK_BACK),
            ..DeliveryQuery::default()
        };
        recent.insert(name.clone(), store.deliveries(&query).await?);
    }
    Ok(recent)
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

/// The configured watches whose forge has no statuses: that none are shown is no news.
fn without_statuses(ctx: &Context) -> Vec<WatchName> {
    let Ok(config) = ctx.config() else { return Vec::new() };
    let forge = |watch: &Watch| config.forge(&watch.source.forge).map(|forge| forge.kind);
    let plain = config.watches.iter().filter(|watch| forge(watch) == Some(ForgeKind::Git));
    plain.map(|watch| watch.name.clone()).collect()
}

/// All that is shown.
#[derive(Clone, Copy)]
struct Known<'a> {
    snapshot: &'a Snapshot,
    names: &'a [WatchName],
    recent: &'a BTreeMap<WatchName, Vec<Delivery>>,
    /// Watches of which it is not said why no statuses are shown.
    mute: &'a [WatchName],
    now: Timestamp,
}

impl<'a> Known<'a> {
    fn branches(self, name: &WatchName) -> Vec<Facts<'a>> {
        let recent = self.recent.get(name).map(Vec::as_slice).unwrap_or_default();
        let all = self.snapshot.branches.iter().filter(|b| b.watch == *name);
        all.map(|branch| Facts::of(self.snapshot, branch, recent)).collect()
    }

    fn show(self, ui: &Ui) {
        let mut rows =
            Rows::new(&["watch", "branch", "state", "head", "seen", "delivered", "runs", "next"]);
        for name in self.names {
            let branches = self.branches(name);
            if branches.is_empty() {
                let quiet = |text| (text, Tone::Quiet);
                let name = (name.as_str(), Tone::Plain);
                let [dash, none] = [quiet("-"), quiet("")];
                rows.row([name, dash, quiet("not seen yet"), dash, dash, dash, none, none]);
            }
            for branch in branches {
                branch_row(&mut rows, &branch, self.now);
            }
        }
        if rows.is_empty() {
            ui.line("nothing seen yet");
        } else {
            ui.table(&rows);
        }
        let foot = [self.errors(), self.reports(), self.queue(), self.footer()].concat();
        if !foot.is_empty() {
            ui.line("");
        }
        for line in foot {
            ui.line(line);
        }
    }

    /// What keeps watches and branches from going on, and which runs failed.
    fn errors(self) -> Vec<String> {
        let mut lines = Vec::new();
        for name in self.names {
            let kept = self.snapshot.watches.iter().find(|w| w.watch == *name);
            if let Some(outage) = kept.and_then(|w| w.unreachable.as_ref()) {
                let since = age(self.now, outage.since);
                lines.push(format!("{name}: no answer for {since}: {}", plain(&outage.error)));
            }
            for facts in self.branches(name) {
                for error in [facts.delivery_error(), facts.run_error()].into_iter().flatten() {
                    lines.push(format!("{name} {}: {}", facts.branch.branch, plain(error)));
                }
            }
        }
        lines.into_iter().map(|line| tinted(&line, Tone::Bad)).collect()
    }

    /// Why statuses are not shown on commits: once per watch.
    fn reports(self) -> Vec<String> {
        let line = |name: &WatchName| {
            let mine = |r: &&Report| r.watch == *name && r.error.is_some();
            let given_up = self.snapshot.given_up.iter().find(mine);
            let report = given_up.or_else(|| self.snapshot.reports.iter().find(mine))?;
            let kept = self.snapshot.watches.iter().find(|w| w.watch == *name);
            let on = kept.map(|w| format!(" on {}", w.repo)).unwrap_or_default();
            let what =
                if report.given_up { "`report: off` asks for none" } else { "it is tried again" };
            let error = report.error.as_deref().unwrap_or_default();
            let line = format!("{name}: statuses can't be shown{on}: {error}; {what}");
            Some(tinted(&plain(&line), Tone::Busy))
        };
        self.names.iter().filter(|name| !self.mute.contains(name)).filter_map(line).collect()
    }

    /// How many runs wait for room, by namespace.
    fn queue(self) -> Vec<String> {
        let mut waiting: BTreeMap<&str, usize> = BTreeMap::new();
        let open = self.snapshot.open.iter().filter(|d| self.names.contains(&d.watch));
        for queued in open.flat_map(|d| &d.objects).filter(|o| o.action == Action::Queued) {
            *waiting.entry(queued.object.namespace.as_deref().unwrap_or("-")).or_default() += 1;
        }
        let line = |(namespace, number): (&str, usize)| {
            format!("namespace {}: {} for room", plain(namespace), wait(number))
        };
        waiting.into_iter().map(line).collect()
    }

    /// Suspensions, waiting triggers, the forges' budgets, the agent.
    fn footer(self) -> Vec<String> {
        let Self { snapshot, names, now, .. } = self;
        let mut lines = Vec::new();
        let shown = |watch: &WatchName| names.contains(watch);
        for suspension in snapshot.inbox.suspensions.iter().filter(|s| shown(&s.watch)) {
            if in_force(suspension, now) {
                lines.push(plain(&suspension_line(suspension, now)));
            }
        }
        let waiting = snapshot.inbox.triggers.iter().filter(|t| shown(&t.watch)).count();
        if waiting > 0 {
            lines.push(format!("{} waiting", count(waiting, "trigger")));
        }
        let Some(agent) = &snapshot.agent else {
            lines.push(tinted("no agent has worked on this state yet", Tone::Quiet));
            return lines;
        };
        for forge in &agent.loops {
            let budget = forge.budget.map_or_else(String::new, |b| {
                let reset =
                    b.reset.map_or_else(String::new, |at| format!(", full {}", ahead(now, at)));
                format!(", budget {} of {}{reset}", b.left, b.limit)
            });
            let silent = passed(agent.beat, forge.beat);
            let pace = if silent > LOOP_SLACK {
                format!("waits for an answer since {}", age(now, forge.beat))
            } else {
                format!("asked every {}", span(forge.interval))
            };
            lines.push(format!("forge {}: {pace}{budget}", forge.forge));
        }
        lines.push(match health(Some(agent), now) {
            Ok(text) => tinted(&plain(&text), Tone::Good),
            Err(text) => tinted(&plain(&text), Tone::Bad),
        });
        lines
    }

    fn to_json(self) -> json::Status {
        let watch = |name: &WatchName| {
            let suspended = |s: &Suspension| s.watch == *name && in_force(s, self.now);
            json::WatchStatus {
                name: name.to_string(),
                suspended: self.snapshot.inbox.suspensions.iter().any(suspended),
                branches: self.branches(name).iter().map(branch_json).collect(),
            }
        };
        json::Status { version: json::VERSION, watches: self.names.iter().map(watch).collect() }
    }
}

/// `1 run waits`, `3 runs wait`.
fn wait(number: usize) -> String {
    if number == 1 { "1 run waits".to_owned() } else { format!("{number} runs wait") }
}

fn branch_row(rows: &mut Rows, facts: &Facts<'_>, now: Timestamp) {
    let branch = facts.branch;
    let (word, tone) = facts.word();
    let seen = format!("{} ago", age(now, branch.observed.at));
    let delivered = branch.delivered.as_ref().map_or_else(
        || "-".to_owned(),
        |mark| format!("{} {} ago", mark.sha.short(), age(now, mark.at)),
    );
    let totals = facts.told.map(Totals::of).unwrap_or_default();
    let verdict = facts.told.and_then(|d| d.verdict);
    let runs_tone = verdict.map_or_else(|| totals.tone(), verdict_tone);
    let next = facts.next_attempt().map_or_else(String::new, |at| ahead(now, at));
    rows.row([
        (branch.watch.as_str(), Tone::Plain),
        (branch.branch.as_str(), Tone::Plain),
        (word, tone),
        (branch.observed.sha.short(), Tone::Plain),
        (&seen, Tone::Quiet),
        (&delivered, Tone::Plain),
        (&totals.words(), runs_tone),
        (&next, Tone::Plain),
    ]);
}

fn branch_json(facts: &Facts<'_>) -> json::BranchStatus {
    let branch = facts.branch;
    json::BranchStatus {
        branch: branch.branch.to_string(),
        observed: (&branch.observed).into(),
        attempted: branch.attempted.as_ref().map(Into::into),
        delivered: branch.delivered.as_ref().map(Into::into),
        state: facts.word().0,
        manifests_revision: branch.manifests.as_ref().map(ToString::to_string),
        runs: facts.told.map(Totals::of).unwrap_or_default().into(),
        verdict: facts.told.and_then(|d| d.verdict).map(|verdict| verdict.as_str()),
        last_error: facts.error().map(str::to_owned),
        next_attempt: facts.next_attempt().map(|at| at.to_string()),
    }
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
