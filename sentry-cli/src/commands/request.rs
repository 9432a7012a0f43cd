//! What trigger, retry, rerun and cancel share: leaving a request, and waiting for the delivery that answers it.

use std::time::Duration;

use sentry_api::shape::{Acknowledgement, Show};
use sentry_api::words::Word::Known;
use sentry_api::words::{DeliveryState, TriggerStateKind, Word};
use sentry_api::{Answers, ApiError, Local};
use sentry_config::{Config, LogLevel};
use sentry_core::clock::Timestamp;
use sentry_core::engine::{Engine, EngineError, Stop};
use sentry_core::ids::TriggerId;
use sentry_core::store::StoreErrorKind;

use super::Context;
use super::history::show_text;
use crate::args::OutputArg;
use crate::compose::{Composition, Place, facts};
use crate::exit::{Exit, Failure};
use crate::remote::Remote;
use crate::report::{Progress, Reporter, during};
use crate::signals::{Ended, Signals};

/// How often another agent's progress is looked at on this machine.
const LOOK: Duration = Duration::from_millis(300);

/// The same with a server.
const LOOK_FAR: Duration = Duration::from_secs(1);

/// How many looks in a row may stay without an answer: a restart of who answers is waited for.
const PATIENCE: usize = 10;

/// Where requests are left.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) answers: Box<dyn Answers>,
    here: Option<Here>,
}

/// What it takes to deliver ourselves.
#[derive(Debug)]
struct Here {
    /// `None` where nobody waits, or the state is not one that a single process may own.
    engine: Option<Engine>,
    is_shared: bool,
}

impl Desk {
    /// The state that the configuration names, made if it isn't there. With a configuration [`Desk::finish`] can wait.
    pub(crate) async fn here(ctx: &Context, config: Option<Config>) -> Result<Self, Failure> {
        let place = ctx.place(config.as_ref())?;
        let state = ctx.open(&place).await?;
        let watches = config.as_ref().map(facts).unwrap_or_default();
        let answers = Box::new(Local::new(state.clone(), watches));
        let is_shared = matches!(place, Place::Postgres(_));
        let compose = |config| Composition::new(config, state, &ctx.redactor);
        let composition = config.filter(|_| !is_shared).map(compose).transpose()?;
        let engine = composition.map(|composition| composition.engine);
        Ok(Self { answers, here: Some(Here { engine, is_shared }) })
    }

    /// A server: an agent beside it delivers, never we.
    pub(crate) fn there(ctx: &Context, server: Remote) -> Self {
        ctx.start_logging(LogLevel::Info);
        Self { answers: Box::new(server), here: None }
    }

    /// Waits until a request is answered, by us or by the agent that holds the state, and shows the delivery; or says
    /// that it is kept, and leaves.
    pub(crate) async fn finish(
        self,
        ctx: &Context,
        kept: &Acknowledgement,
        no_wait: bool,
        wanted: Wanted,
    ) -> Result<Exit, Failure> {
        if no_wait {
            ctx.ui.line(crate::ui::plain(&kept.trigger));
            return Ok(Exit::Done);
        }
        tracing::info!(trigger = kept.trigger, watch = kept.watch, "trigger stored");
        let (mut signals, mut reporter) = (Signals::listen()?, ctx.reporter());
        let pace = if self.here.is_some() { LOOK } else { LOOK_FAR };
        let settled = match &self.here {
            Some(here) => here.settle(kept, ctx, &mut signals, &mut reporter).await?,
            None => Settled::Held,
        };
        let shown = match settled {
            Settled::Shown(shown) => shown,
            Settled::Held => {
                self.say_who_delivers().await?;
                let following = Following { answers: self.answers.as_ref(), kept, pace };
                following.to_the_end(&mut signals, &mut reporter).await?
            }
            Settled::Aborted => return Ok(Exit::Aborted),
        };
        conclude(ctx, &shown, wanted)
    }

    /// Agents that share a state deliver all of it, and there may be none now.
    async fn say_who_delivers(&self) -> Result<(), Failure> {
        let is_shared = self.here.as_ref().is_some_and(|here| here.is_shared);
        let agent = if is_shared { self.answers.agent().await? } else { None };
        if is_shared && !agent.is_some_and(|agent| agent.healthy) {
            tracing::warn!(
                "no agent is running on this state: start `sentry watch`; this command waits for one"
            );
        } else {
            tracing::info!(
                "another agent is running on this state: it delivers, this command follows"
            );
        }
        Ok(())
    }
}

impl Here {
    /// Delivers ourselves, unless an agent holds the state.
    async fn settle(
        &self,
        kept: &Acknowledgement,
        ctx: &Context,
        signals: &mut Signals,
        reporter: &mut Reporter,
    ) -> Result<Settled, Failure> {
        let Some(engine) = &self.engine else { return Ok(Settled::Held) };
        let id: TriggerId = kept.trigger.parse().map_err(|error| {
            Failure::new(Exit::Unreachable, "the answer can't be read").with_source(error)
        })?;
        let stop = Stop::new();
        let mut events = engine.events();
        let ids = [id];
        let work = during(&mut events, reporter, engine.settle(&ids, &stop));
        match signals.around(&stop, |text| ctx.announce(text), work).await {
            Ended::Aborted => Ok(Settled::Aborted),
            Ended::Itself(Ok(deliveries)) => match deliveries.first() {
                Some(delivery) => Ok(Settled::Shown(Box::new(delivery.into()))),
                None => Ok(Settled::Aborted),
            },
            Ended::Itself(Err(EngineError::Store(e))) if e.kind() == StoreErrorKind::Held => {
                Ok(Settled::Held)
            }
            Ended::Itself(Err(EngineError::Unknown(why))) => Err(Failure::new(Exit::Failed, why)),
            Ended::Itself(Err(EngineError::Stopped)) => {
                let text = format!("stopped before trigger {} was processed", kept.trigger);
                let hint = "it is stored: the next `sentry watch` processes it";
                Err(Failure::new(Exit::Aborted, text).with_hint(hint))
            }
            Ended::Itself(Err(error)) => Err(error.into()),
        }
    }
}

/// What came of delivering ourselves.
enum Settled {
    /// The delivery as it ended.
    Shown(Box<Show>),
    /// An agent holds the state.
    Held,
    /// A second signal.
    Aborted,
}

/// How a delivery is to end for the command that waits for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    Delivered,
    Cancelled,
}

/// Shows the delivery as it ended.
fn conclude(ctx: &Context, shown: &Show, wanted: Wanted) -> Result<Exit, Failure> {
    show_text(&ctx.ui, OutputArg::default(), shown, ctx.now());
    let delivery = &shown.delivery;
    if wanted == Wanted::Cancelled {
        let done = delivery.state == DeliveryState::Cancelled;
        return Ok(if done { Exit::Done } else { Exit::Failed });
    }
    let exit = verdict([delivery.state]);
    let run = shown.asked_for.as_ref().and_then(|asked| asked.run.as_ref());
    match run {
        Some(run) if exit == Exit::Done && delivery.runs.is_empty() => {
            Err(no_such_run(&delivery.watch, &delivery.branch, run))
        }
        _ => Ok(exit),
    }
}

/// Whoever names a run expects it to run: that nothing did is no success.
pub(crate) fn no_such_run(watch: &str, branch: &str, run: &str) -> Failure {
    Failure::new(Exit::Failed, format!("no run {run} would start for branch {branch}")).with_hint(
        format!("`sentry explain {watch} --branch {branch}` lists the documents and says why"),
    )
}

/// 0 only if no delivery failed, or was given up: where nothing was to run, nothing did.
pub(crate) fn verdict(states: impl IntoIterator<Item = Word<DeliveryState>>) -> Exit {
    use DeliveryState::{NothingRan, Succeeded, Superseded};
    let fine = |state| matches!(state, Known(Succeeded | NothingRan | Superseded));
    if states.into_iter().all(fine) { Exit::Done } else { Exit::Failed }
}

/// A trigger that an agent answers.
struct Following<'a> {
    answers: &'a dyn Answers,
    kept: &'a Acknowledgement,
    pace: Duration,
}

impl Following<'_> {
    /// Looks at what the agent does with the trigger until it is settled.
    async fn to_the_end(
        &self,
        signals: &mut Signals,
        reporter: &mut Reporter,
    ) -> Result<Box<Show>, Failure> {
        // Nothing of ours is under way: the first signal ends the following.
        match signals.until(self.watch(reporter)).await {
            Some(result) => result,
            None => {
                let text = format!("stopped following trigger {}", self.kept.trigger);
                Err(Failure::new(Exit::Aborted, text)
                    .with_hint("the agent continues; `sentry history` shows how it ends"))
            }
        }
    }

    async fn watch(&self, reporter: &mut Reporter) -> Result<Box<Show>, Failure> {
        let (mut last, mut missed): (Option<Box<Show>>, usize) = (None, 0);
        loop {
            match answer(self.answers, &self.kept.trigger).await? {
                Looked::Shown(show) => {
                    missed = 0;
                    for progress in Progress::since(last.as_deref(), &show) {
                        reporter.tell(&progress);
                    }
                    if let Some((error, next)) = waits(last.as_deref(), &show) {
                        let delivery = &show.delivery.id;
                        tracing::warn!(%delivery, %next, error, "delivery is waiting for its next attempt");
                    }
                    if show.delivery.state.is(DeliveryState::is_final) {
                        return Ok(show);
                    }
                    last = Some(show);
                }
                Looked::Waits => missed = 0,
                Looked::Missed(error) if missed == PATIENCE => return Err(error.into()),
                Looked::Missed(error) => {
                    missed += 1;
                    tracing::warn!("no answer, retrying: {}", sentry_core::error::text(&error));
                }
            }
            tokio::time::sleep(self.pace).await;
        }
    }
}

/// What one look came to.
enum Looked {
    /// The delivery that answers the trigger.
    Shown(Box<Show>),
    /// Nobody took the trigger yet.
    Waits,
    /// There was no answer, which may pass.
    Missed(ApiError),
}

/// The delivery that answers the trigger, once there is one.
async fn answer(answers: &dyn Answers, trigger: &str) -> Result<Looked, Failure> {
    let missed = |error: ApiError| {
        if error.kind().may_pass() { Ok(Looked::Missed(error)) } else { Err(error.into()) }
    };
    let kept = match answers.trigger_state(trigger).await {
        Ok(kept) => kept,
        Err(error) => return missed(error),
    };
    match (kept.state, &kept.delivery) {
        (Known(TriggerStateKind::Rejected), _) => {
            Err(Failure::new(Exit::Failed, kept.reason.unwrap_or_default()))
        }
        (_, Some(delivery)) => match answers.show(delivery).await {
            Ok(show) => Ok(Looked::Shown(Box::new(show))),
            Err(error) => missed(error),
        },
        (_, None) => Ok(Looked::Waits),
    }
}

/// Why a delivery waits for its next attempt, and until when, if that is news.
fn waits<'a>(last: Option<&Show>, now: &'a Show) -> Option<(&'a str, Timestamp)> {
    let is_news = last.is_none_or(|last| last.next_attempt != now.next_attempt);
    let pending = now.delivery.state == DeliveryState::Pending;
    let next = now.next_attempt.filter(|_| is_news && pending)?;
    Some((now.delivery.error.as_deref()?, next))
}

#[cfg(test)]
mod tests {
    use sentry_core::delivery::Delivery;
    use sentry_core::testing::sample;

    use super::*;

    #[test]
    fn what_a_delivery_waits_for_is_told_once_for_each_attempt() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let show = |state, second| -> Show {
            let (error, next_attempt) = (Some("away".into()), Some(at(second)));
            (&Delivery { state, error, next_attempt, ..sample::delivery(1) }).into()
        };
        let (first, second) = (show(DeliveryState::Pending, 60), show(DeliveryState::Pending, 120));
        assert_eq!(waits(None, &first), Some(("away", at(60))));
        assert_eq!(waits(Some(&first), &first), None);
        assert_eq!(waits(Some(&first), &second), Some(("away", at(120))));
        assert_eq!(waits(Some(&first), &show(DeliveryState::Fetching, 120)), None);
    }
}
