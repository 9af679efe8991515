//! When something is to be done about a connection, though nothing happens on it.
//!
//! Most deadlines are moved on with every byte and never come, so they are only written down, one number a place. All of
//! them are looked at when the earliest that was ever written since the last look is due: some 30 µs for 65,536
//! connections, at most forty times a second.

/// How far apart two looks are at least, milliseconds.
const COARSE: u64 = 25;

/// One deadline for each place of a slab, in milliseconds of the proxy's clock.
#[derive(Debug)]
pub(super) struct Deadlines {
    at: Vec<u64>,
    /// No deadline is before this.
    earliest: u64,
    looked: u64,
}

impl Deadlines {
    pub(super) fn new() -> Deadlines {
        Deadlines { at: Vec::new(), earliest: u64::MAX, looked: 0 }
    }

    /// Writes down a deadline in the place of the one before it; `u64::MAX` is none.
    pub(super) fn set(&mut self, index: u32, at: u64) {
        let Ok(index) = usize::try_from(index) else { return };
        if index >= self.at.len() {
            self.at.resize(index + 1, u64::MAX);
        }
        if let Some(place) = self.at.get_mut(index) {
            *place = at;
        }
        self.earliest = self.earliest.min(at);
    }

    /// When to look next; `None` while there is nothing to wait for.
    pub(super) fn next(&self) -> Option<u64> {
        (self.earliest != u64::MAX).then(|| self.earliest.max(self.looked + COARSE))
    }

    /// Takes out the places whose deadlines have come, into `due`.
    pub(super) fn take_due(&mut self, now: u64, due: &mut Vec<u32>) {
        if self.next().is_none_or(|next| now < next) {
            return;
        }
        self.looked = now;
        self.earliest = u64::MAX;
        for (index, at) in (0..).zip(self.at.iter_mut()) {
            if *at <= now {
                *at = u64::MAX;
                due.push(index);
            } else {
                self.earliest = self.earliest.min(*at);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(deadlines: &mut Deadlines, now: u64) -> Vec<u32> {
        let mut due = Vec::new();
        deadlines.take_due(now, &mut due);
        due
    }

    #[test]
    fn each_comes_once_and_not_before_its_time() {
        let mut deadlines = Deadlines::new();
        assert_eq!(deadlines.next(), None);
        deadlines.set(2, 1000);
        deadlines.set(0, 3000);
        assert_eq!((deadlines.next(), due(&mut deadlines, 999)), (Some(1000), vec![]));
        assert_eq!(due(&mut deadlines, 1000), [2]);
        assert_eq!((deadlines.next(), due(&mut deadlines, 2999)), (Some(3000), vec![]));
        assert_eq!((due(&mut deadlines, 9000), deadlines.next()), (vec![0], None));
    }

    #[test]
    fn one_that_was_moved_on_or_dropped_costs_a_look_and_no_more() {
        let mut deadlines = Deadlines::new();
        deadlines.set(0, 1000);
        deadlines.set(0, 5000);
        deadlines.set(1, 1000);
        deadlines.set(1, u64::MAX);
        assert_eq!((deadlines.next(), due(&mut deadlines, 1000)), (Some(1000), vec![]));
        assert_eq!(deadlines.next(), Some(5000));
        assert_eq!((due(&mut deadlines, 5000), deadlines.next()), (vec![0], None));
    }

    #[test]
    fn looks_keep_a_distance() {
        let mut deadlines = Deadlines::new();
        deadlines.set(0, 1000);
        assert_eq!(due(&mut deadlines, 1000), [0]);
        deadlines.set(0, 1001);
        assert_eq!((deadlines.next(), due(&mut deadlines, 1024)), (Some(1025), vec![]));
        assert_eq!(due(&mut deadlines, 1025), [0]);
    }
}
