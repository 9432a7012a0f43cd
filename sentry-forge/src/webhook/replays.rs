//! What was received lately, so that repeats are recognized.

use std::collections::{HashSet, VecDeque};

/// So many are remembered. More in five minutes than this, and a repeat is only one question to the forge too many.
const MANY: usize = 1024;

/// What can only come once: a signed id, or a signature.
pub(super) type Once = [u8; 32];

#[derive(Debug, Default)]
pub(super) struct Replays {
    order: VecDeque<Once>,
    known: HashSet<Once>,
}

impl Replays {
    /// False if it was seen before; from now on it is known.
    pub(super) fn is_new(&mut self, once: Once) -> bool {
        if !self.known.insert(once) {
            return false;
        }
        self.order.push_back(once);
        if self.order.len() > MANY
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn once(number: usize) -> Once {
        let mut once = [0; 32];
        once[..8].copy_from_slice(&number.to_be_bytes());
        once
    }

    #[test]
    fn what_is_remembered_is_bounded_and_the_oldest_is_forgotten_first() {
        let mut seen = Replays::default();
        for number in 0..MANY {
            assert!(seen.is_new(once(number)));
            assert!(!seen.is_new(once(number)));
        }
        assert!(seen.is_new(once(MANY)));
        assert!(!seen.is_new(once(1)), "still known");
        assert!(seen.is_new(once(0)), "forgotten");
        assert_eq!((seen.order.len(), seen.known.len()), (MANY, MANY));
    }
}
