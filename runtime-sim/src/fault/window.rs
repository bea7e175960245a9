//! Stability windows: a fault is on for a while and off for a while, and never for less than its
//! minimum; coins alone heal too quickly and hide live-locks.

use std::time::Duration;

use image_updater_core::time::Time;

use crate::entropy::Entropy;

/// On and off in turn, asked about in the order of time.
#[derive(Clone, Debug)]
pub struct Window {
    entropy: Entropy,
    is_on: bool,
    until: Time,
    on_min: Duration,
    off_min: Duration,
}

impl Window {
    /// A window that begins off. A minimum of zero for off makes it always on.
    pub fn new(entropy: Entropy, on_min: Duration, off_min: Duration) -> Self {
        Self {
            entropy,
            is_on: true,
            until: Time::ZERO,
            on_min,
            off_min,
        }
    }

    /// Whether it is on at `now`, and until when it stays so. `now` never goes back.
    pub fn at(&mut self, now: Time) -> (bool, Time) {
        if self.off_min.is_zero() || self.on_min.is_zero() {
            return (true, now);
        }
        while now >= self.until {
            self.is_on = !self.is_on;
            let least = if self.is_on {
                self.on_min
            } else {
                self.off_min
            };
            let length = least + self.entropy.exponential(least);
            self.until = self.until.after(length);
        }
        (self.is_on, self.until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::Stream;

    #[test]
    fn neither_state_is_shorter_than_its_minimum() {
        let entropy = Entropy::new(9, Stream::RegistryFaults);
        let (on, off) = (Duration::from_secs(30), Duration::from_secs(90));
        let mut window = Window::new(entropy, on, off);
        let (mut state, mut since, mut changes) = (window.at(Time::ZERO).0, 0, 0);
        assert!(!state, "it begins off");
        for second in 0..20_000 {
            let (now, _) = window.at(Time::from_secs(second));
            if now != state {
                let least = if state { 30 } else { 90 };
                assert!(second - since >= least, "{second}");
                (state, since) = (now, second);
                changes += 1;
            }
        }
        assert!(changes > 20, "{changes}");
    }
}
