//! How much may be worked on what a repository asks for: expressions and patterns are theirs, the time is ours.

use super::MAX_DOCUMENTS;

/// Steps for one expression or annotation.
const FOR_ONE: u64 = 2_000_000;
/// Steps that every run finds, whatever those before it took.
const SHARE: u64 = 500_000;
/// Of these, what is left for asking again without the paths that changed.
const RESERVE: u64 = SHARE / 2;

/// Steps that are left. A step is some tens of nanoseconds, and at most some bytes of memory.
///
/// When they end, nothing is known: what depends on A's paths then counts as changed, anything else is refused.
#[derive(Debug)]
pub(super) struct Fuel {
    all: u64,
    /// What is kept for the runs that are still to come.
    kept: u64,
    one: u64,
}

/// No step is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Exhausted;

impl Fuel {
    /// For so many runs.
    pub(super) fn new(runs: usize) -> Self {
        let kept = SHARE * u64::try_from(runs).unwrap_or(u64::MAX / SHARE);
        let most = u64::try_from(MAX_DOCUMENTS).unwrap_or(u64::MAX / SHARE) * SHARE;
        Self { all: most.max(kept), kept, one: 0 }
    }

    #[cfg(test)]
    pub(super) fn left(&self) -> u64 {
        self.one
    }

    /// Begins with another run.
    pub(super) fn next(&mut self) {
        self.kept = self.kept.saturating_sub(SHARE);
    }

    /// Begins with something new.
    pub(super) fn refill(&mut self) {
        self.one = self.all.saturating_sub(self.kept + RESERVE).min(FOR_ONE);
    }

    /// Begins again with something that took too long.
    pub(super) fn reserve(&mut self) {
        self.one = self.all.saturating_sub(self.kept).min(RESERVE);
    }

    /// Takes steps.
    ///
    /// # Errors
    /// If there are not as many left; then none is left any more.
    pub(super) fn spend(&mut self, steps: usize) -> Result<(), Exhausted> {
        let steps = u64::try_from(steps).unwrap_or(u64::MAX).min(self.one);
        (self.one, self.all) = (self.one - steps, self.all - steps);
        if self.one == 0 { Err(Exhausted) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_run_takes_is_not_lacking_for_the_next_ones() {
        let mut fuel = Fuel::new(MAX_DOCUMENTS);
        for run in 0..MAX_DOCUMENTS {
            fuel.next();
            for _ in 0..3 {
                fuel.refill();
                while fuel.spend(10_000).is_ok() {}
            }
            fuel.reserve();
            assert_eq!(fuel.spend(200_000), Ok(()), "run {run}");
            assert_eq!(fuel.spend(100_000), Err(Exhausted), "run {run}");
        }
        let mut fuel = Fuel::new(MAX_DOCUMENTS);
        for _ in 0..MAX_DOCUMENTS {
            fuel.next();
            fuel.refill();
            assert_eq!(fuel.spend(200_000), Ok(()));
        }
    }
}
