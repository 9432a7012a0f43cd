//! The check of everything that is kept, beside an agent that works already: its start reads only what is live.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};

use rusqlite::OpenFlags;
use sentry_core::store::StoreErrorKind;

use super::failure::Failure;
use super::state_dir::StateDir;
use super::{connect, schema};

/// How many steps of SQLite's machine go by until a check sees that it is to end: less than a millisecond.
const STEPS: i32 = 10_000;

/// Damage that was found while the state was open. All clones are one.
#[derive(Debug, Clone)]
pub(super) struct Damage {
    place: StateDir,
    found: Arc<OnceLock<String>>,
}

impl Damage {
    pub(super) fn none(place: &StateDir) -> Self {
        Self { place: place.clone(), found: Arc::default() }
    }

    /// Notes a failure that is damage, for what is asked next and for the next start.
    pub(super) fn note(&self, failure: &Failure) {
        if failure.kind() == StoreErrorKind::Corrupt && self.found.set(failure.clause()).is_ok() {
            self.place.suspect();
        }
    }

    /// # Errors
    /// [`Failure::Damaged`] if some was found.
    pub(super) fn check(&self) -> Result<(), Failure> {
        match self.found.get() {
            Some(what) => Err(Failure::Damaged(what.clone())),
            None => Ok(()),
        }
    }
}

/// A check that goes on on a thread of its own, until it is through or dropped.
#[derive(Debug)]
pub(super) struct Check {
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Check {
    /// Begins one. What it finds is noted in `damage`.
    ///
    /// # Errors
    /// What [`connect`] says.
    pub(super) fn begin(place: &StateDir, damage: Damage) -> Result<Self, Failure> {
        let ends = Arc::new(AtomicBool::new(false));
        let mut connection = connect(place.db(), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let is_over = Arc::clone(&ends);
        connection.progress_handler(STEPS, Some(move || is_over.load(Ordering::Relaxed)))?;
        let thread = thread::spawn(move || {
            if let Err(failure) = schema::verify(&connection) {
                damage.note(&failure);
            }
        });
        Ok(Self { ends, thread: Some(thread) })
    }
}

impl Drop for Check {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It has nothing to tell but what it noted.
            thread.join().ok();
        }
    }
}
