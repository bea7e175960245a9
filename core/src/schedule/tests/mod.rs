//! Tests of the scheduler as a whole: promises one by one, and any sequence against a naive model.

mod defects;
mod model;
mod promises;
mod properties;
mod world;

use super::Schedule;

impl Schedule {
    /// Nothing is left of anybody (A11).
    fn assert_empty(&self) {
        assert!(self.apps.is_empty(), "applications");
        assert!(self.timers.is_empty(), "timers");
        assert!(self.tickets.is_empty(), "tickets");
        self.line.assert_empty();
    }
}
