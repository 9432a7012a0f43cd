//! Guesses: tokens and signatures that are not ours, wherever they are tried.
//!
//! A valid token is always accepted: behind a proxy everybody has one address, and a guesser must not lock others out.
//! What limits guessing is the token itself. Here guesses are counted, logged, and beyond a budget answered with 429.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use tokio::time::Instant;

/// So many guesses in a row are answered as wrong, and afterwards one for each [`REFILL`].
const BUDGET: u32 = 30;
const REFILL: Duration = Duration::from_secs(1);
/// Guesses are logged this often at most.
const PAUSE: Duration = Duration::from_secs(60);

/// Where a guess is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    /// The login of the page.
    Page,
    /// The API.
    Api,
    /// A webhook's proof. It is always answered as wrong: the forge shows that to a person.
    Webhook,
}

const DOORS: [Door; 3] = [Door::Page, Door::Api, Door::Webhook];

impl Door {
    fn as_str(self) -> &'static str {
        match self {
            Self::Page => "page",
            Self::Api => "api",
            Self::Webhook => "webhook",
        }
    }
}

/// The guesses at all doors of a server together. All clones are one.
#[derive(Debug, Clone)]
pub struct Guesses(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    counted: Counted,
    notes: Mutex<Notes>,
}

pub(crate) type Counted = Family<[(&'static str, &'static str); 1], Counter>;

#[derive(Debug)]
struct Notes {
    left: u32,
    refilled: Instant,
    untold: [u64; DOORS.len()],
    told: Option<Instant>,
}

impl Default for Guesses {
    fn default() -> Self {
        let counted = Counted::default();
        for door in DOORS {
            drop(counted.get_or_create(&[("door", door.as_str())]));
        }
        let now = Instant::now();
        let notes = Notes { left: BUDGET, refilled: now, untold: [0; DOORS.len()], told: None };
        Self(Arc::new(Shared { counted, notes: Mutex::new(notes) }))
    }
}

impl Guesses {
    /// Counts a guess; true if it may be answered as wrong, false if there are too many.
    pub(crate) fn guessed(&self, door: Door) -> bool {
        self.0.counted.get_or_create(&[("door", door.as_str())]).inc();
        let mut notes = self.notes();
        notes.untold[door as usize] += 1;
        if notes.told.is_none_or(|told| told.elapsed() >= PAUSE) {
            notes.tell();
        }
        notes.take()
    }

    /// Logs from time to time what was not logged at once; never ends.
    pub(crate) async fn keep_telling(&self) {
        loop {
            tokio::time::sleep(PAUSE).await;
            self.notes().tell();
        }
    }

    pub(crate) fn counted(&self) -> Counted {
        self.0.counted.clone()
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.0.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Notes {
    fn tell(&mut self) {
        let [page, api, webhook] = std::mem::take(&mut self.untold);
        if page + api + webhook > 0 {
            self.told = Some(Instant::now());
            tracing::warn!(page, api, webhook, "someone is trying wrong tokens or signatures");
        }
    }

    fn take(&mut self) -> bool {
        let spans = self.refilled.elapsed().as_secs() / REFILL.as_secs();
        self.refilled += REFILL * u32::try_from(spans).unwrap_or(u32::MAX);
        self.left = self.left.saturating_add(u32::try_from(spans).unwrap_or(u32::MAX)).min(BUDGET);
        let within = self.left > 0;
        self.left = self.left.saturating_sub(1);
        within
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn guesses_at_all_doors_share_one_budget_which_comes_back() {
        let guesses = Guesses::default();
        let doors = [Door::Page, Door::Api].into_iter().cycle();
        let told = doors.take(1000).filter(|door| guesses.guessed(*door)).count();
        assert_eq!(told, BUDGET as usize);
        tokio::time::advance(REFILL * 3).await;
        assert_eq!((0..10).filter(|_| guesses.guessed(Door::Api)).count(), 3);
        tokio::time::advance(REFILL * 10_000).await;
        assert_eq!((0..1000).filter(|_| guesses.guessed(Door::Api)).count(), BUDGET as usize);
        for (door, number) in [("page", 500), ("api", 1510), ("webhook", 0)] {
            assert_eq!(guesses.counted().get_or_create(&[("door", door)]).get(), number, "{door}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_log_has_one_line_a_minute_with_all_that_came_in_it() {
        let guesses = Guesses::default();
        let telling = guesses.clone();
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(async move { telling.keep_telling().await });
        tokio::task::yield_now().await;
        guesses.guessed(Door::Page);
        assert_eq!(guesses.notes().untold, [0, 0, 0], "the first is told at once");
        for _ in 0..100 {
            guesses.guessed(Door::Page);
            guesses.guessed(Door::Api);
        }
        assert_eq!(guesses.notes().untold, [100, 100, 0]);
        tokio::time::sleep(PAUSE + Duration::from_secs(1)).await;
        assert_eq!(guesses.notes().untold, [0, 0, 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_guess_at_any_door_is_told_at_once_if_none_was_told_for_a_minute() {
        for door in DOORS {
            let guesses = Guesses::default();
            guesses.notes().tell();
            assert_eq!(guesses.notes().told, None, "nothing is no line");
            guesses.guessed(door);
            assert_eq!(guesses.notes().told, Some(Instant::now()), "{door:?}");
            tokio::time::advance(PAUSE - Duration::from_millis(1)).await;
            guesses.guessed(door);
            assert_ne!(guesses.notes().told, Some(Instant::now()), "{door:?}");
            tokio::time::advance(Duration::from_millis(1)).await;
            guesses.guessed(door);
            assert_eq!(guesses.notes().told, Some(Instant::now()), "{door:?}");
        }
    }
}
