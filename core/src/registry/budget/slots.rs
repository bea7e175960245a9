//! Requests in flight of an endpoint (`registry.md` 5.4): a cap that covers the body, and that shrinks
//! while this machine has no local port left for more connections.

use crate::time::Time;

/// Slots of an endpoint; each is held from hand-out to completion.
#[derive(Clone, Debug)]
pub struct Slots {
    cap_max: u32,
    cap: u32,
    n_taken: u32,
    /// When the cap was halved last: failures of requests from before do not count again.
    shrunk: Option<Time>,
    /// Good answers since the cap was changed.
    n_good: u32,
}

impl Slots {
    /// So many slots, at least one.
    pub fn new(cap_max: u32) -> Self {
        let cap_max = cap_max.max(1);
        Self {
            cap_max,
            cap: cap_max,
            n_taken: 0,
            shrunk: None,
            n_good: 0,
        }
    }

    /// How many may be taken at present.
    pub const fn cap(&self) -> u32 {
        self.cap
    }

    /// How many are taken. It may lie above a cap that was just lowered, never above the highest.
    pub const fn n_taken(&self) -> u32 {
        self.n_taken
    }

    /// True when one more may be taken, where no endpoint is to have more than `cap_shared`.
    pub fn can_take(&self, cap_shared: Option<u32>) -> bool {
        self.n_taken < cap_shared.map_or(self.cap, |shared| shared.max(1).min(self.cap))
    }

    /// Takes one.
    ///
    /// # Panics
    /// When none is free.
    pub fn take(&mut self) {
        assert!(
            self.n_taken < self.cap,
            "a slot is taken only when one is free"
        );
        self.n_taken += 1;
    }

    /// Gives one back.
    ///
    /// # Panics
    /// When none is taken.
    pub fn give(&mut self) {
        assert!(self.n_taken > 0, "a slot is given back once");
        self.n_taken -= 1;
    }

    /// There was no local port for a request that was sent at `sent`: the cap is halved, once for all that
    /// were under way together. True when it changed.
    pub fn shrink(&mut self, now: Time, sent: Time) -> bool {
        self.n_good = 0;
        if self.cap == 1 || self.shrunk.is_some_and(|shrunk| sent <= shrunk) {
            return false;
        }
        self.shrunk = Some(now);
        self.cap /= 2;
        true
    }

    /// There was an answer: after as many as there are slots there is one slot more. True when it changed.
    pub fn restore(&mut self) -> bool {
        if self.cap == self.cap_max {
            return false;
        }
        self.n_good += 1;
        let is_more = self.n_good >= self.cap;
        if is_more {
            self.cap += 1;
            self.n_good = 0;
        }
        is_more
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;

    #[test]
    fn a_burst_halves_the_cap_once_and_answers_restore_it_one_by_one() {
        let mut slots = Slots::new(15);
        let at = Time::from_secs;
        assert!(slots.shrink(at(10), at(9)));
        assert!(!slots.shrink(at(11), at(9)));
        assert_eq!(slots.cap(), 7);
        for n in 0..5 {
            slots.shrink(at(20 + n), at(20 + n).after(Duration::ZERO));
        }
        assert_eq!(slots.cap(), 1, "never none");
        let n_answers = (1..1000).find(|_| slots.restore() && slots.cap() == 15);
        assert_eq!(n_answers, Some((1..15).sum::<i32>()));
        assert!(!slots.restore());
    }

    #[test]
    fn a_shared_cap_holds_beside_the_own() {
        let mut slots = Slots::new(4);
        slots.take();
        assert!(slots.can_take(None) && slots.can_take(Some(2)));
        assert!(!slots.can_take(Some(1)) && !slots.can_take(Some(0)));
        slots.give();
        assert!(slots.can_take(Some(0)), "one is always allowed");
    }
}
