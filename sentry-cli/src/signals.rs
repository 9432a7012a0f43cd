//! The first SIGTERM or SIGINT asks the work to stop, the second one ends it.

use std::io;
use std::time::Duration;

use sentry_core::engine::Stop;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::exit::Failure;

/// How long begun work has to put itself away after the second signal.
const LAST_GRACE: Duration = Duration::from_secs(2);

/// The signals that ask us to stop.
#[derive(Debug)]
pub(crate) struct Signals {
    term: Signal,
    interrupt: Signal,
    asked: bool,
}

/// The signal that asks for another look at the configuration.
#[derive(Debug)]
pub(crate) struct Hangup(Signal);

impl Hangup {
    /// From now on SIGHUP no longer ends the process.
    pub(crate) fn listen() -> Result<Self, Failure> {
        let failed = |e: io::Error| Failure::usage("can't listen for SIGHUP").with_source(e);
        signal(SignalKind::hangup()).map(Self).map_err(failed)
    }

    /// Waits for the next one. Those that come while nobody waits are one.
    pub(crate) async fn next(&mut self) {
        if self.0.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}

/// How watched work ended.
#[derive(Debug)]
pub(crate) enum Ended<T> {
    /// By itself, or because it was asked to.
    Itself(T),
    /// By a second signal.
    Aborted,
}

impl Signals {
    /// From now on the signals no longer end the process by themselves.
    pub(crate) fn listen() -> Result<Self, Failure> {
        let failed =
            |e: io::Error| Failure::usage("can't listen for SIGTERM and SIGINT").with_source(e);
        Ok(Self {
            term: signal(SignalKind::terminate()).map_err(failed)?,
            interrupt: signal(SignalKind::interrupt()).map_err(failed)?,
            asked: false,
        })
    }

    /// True once one came.
    pub(crate) fn asked(&self) -> bool {
        self.asked
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.interrupt.recv() => {}
        }
        self.asked = true;
    }

    /// The work's result, or `None` if a signal came first: for work that may be left at any point.
    pub(crate) async fn until<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            done = work => Some(done),
            () = self.next() => None,
        }
    }

    /// Does the work, and tells its stop of the signals; and whoever sent them, at once, what is waited for.
    pub(crate) async fn around<T>(
        &mut self,
        stop: &Stop,
        announce: impl Fn(&str),
        work: impl Future<Output = T>,
    ) -> Ended<T> {
        let mut work = std::pin::pin!(work);
        tokio::select! {
            done = &mut work => return Ended::Itself(done),
            () = self.next() => {}
        }
        announce("stopping: waiting for objects that are being written; a second signal aborts");
        stop.soft();
        tokio::select! {
            done = &mut work => return Ended::Itself(done),
            () = self.next() => {}
        }
        announce("aborting: the next start finishes what was in progress");
        stop.hard();
        tokio::time::timeout(LAST_GRACE, work).await.ok();
        Ended::Aborted
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use rustix::process::{Signal as Which, getpid, kill_process};

    use super::*;

    #[tokio::test]
    async fn the_first_signal_asks_to_stop_and_the_second_one_aborts() {
        let mut signals = Signals::listen().unwrap();
        let stop = Stop::new();
        let script = async {
            kill_process(getpid(), Which::TERM).unwrap();
            while !stop.is_stopping() {
                tokio::task::yield_now().await;
            }
            assert!(!stop.is_aborted());
            kill_process(getpid(), Which::INT).unwrap();
            while !stop.is_aborted() {
                tokio::task::yield_now().await;
            }
        };
        let (ended, ()) = tokio::join!(signals.around(&stop, |_| {}, pending::<()>()), script);
        assert!(matches!(ended, Ended::Aborted), "{ended:?}");
    }
}
