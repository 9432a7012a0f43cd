//! How much may be worked on what a repository asks for: expressions and patterns are theirs, the time is ours.

/// Steps for one expression or annotation.
const FOR_ONE: u64 = 2_000_000;
/// Steps for a whole tree.
const FOR_ALL: u64 = 10 * FOR_ONE;

/// Steps that are left. A step is some tens of nanoseconds, and at most some bytes of memory.
#[derive(Debug)]
pub(super) struct Fuel {
    all: u64,
    one: u64,
}

/// No step is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Exhausted;

impl Fuel {
    pub(super) fn new() -> Self {
        Self { all: FOR_ALL, one: 0 }
    }

    /// Begins with something new.
    pub(super) fn refill(&mut self) {
        self.one = FOR_ONE.min(self.all);
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
