//! The slots of the whole process: one limit, whatever the mode or pass (`ops.md` 7.6, S8).
//!
//! Invariant: a slot is only taken below the limit, and only what was taken is given back. The limit
//! may sink below the slots in use; then none is taken until enough came back.

/// Counts the applications that have work of their own in flight.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Slots {
    limit: u32,
    in_use: u32,
}

impl Slots {
    /// No slot in use of `limit`.
    pub const fn new(limit: u32) -> Self {
        Self { limit, in_use: 0 }
    }

    /// True when a slot is free.
    pub const fn can_take(&self) -> bool {
        self.in_use < self.limit
    }

    /// Takes a slot.
    ///
    /// # Panics
    /// When none is free: the caller asks [`Self::can_take`] first.
    pub fn take(&mut self) {
        assert!(self.can_take(), "a slot is only taken when one is free");
        self.in_use += 1;
    }

    /// Gives one slot back.
    ///
    /// # Panics
    /// When none is in use.
    pub fn give(&mut self) {
        assert!(
            self.in_use > 0,
            "a slot is only given back after it was taken"
        );
        self.in_use -= 1;
    }

    /// Notes a new limit; slots in use stay in use.
    pub const fn on_limit(&mut self, limit: u32) {
        self.limit = limit;
    }

    /// The limit.
    pub const fn limit(&self) -> u32 {
        self.limit
    }

    /// The slots in use.
    pub const fn in_use(&self) -> u32 {
        self.in_use
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lower_limit_lets_work_in_flight_end_before_more_starts() {
        let mut slots = Slots::new(2);
        slots.take();
        slots.take();
        assert!(!slots.can_take());
        slots.on_limit(1);
        slots.give();
        assert!(!slots.can_take(), "one is in use and one is allowed");
        slots.give();
        assert!(slots.can_take());
    }
}
