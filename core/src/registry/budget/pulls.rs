//! Reading contents where the registry counts that: it refuses it for hours, and everything else as little as
//! ever (Docker Hub's pull quota, `registry.md` 15.15).

use core::time::Duration;

use crate::time::Time;

/// Refusals without an answer between them that make a quota of it.
const REFUSALS_MIN: u32 = 6;
/// Longest time without a try.
const HOLD_MAX: Duration = Duration::from_hours(1);

/// Whether an account may read contents.
///
/// A registry that says how long to wait is believed, and needs none of this.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pulls {
    /// Refusals since the last content that was read.
    n_refused: u32,
    /// When the last of them came: those under way with it say nothing new.
    since: Option<Time>,
    held_until: Option<Time>,
}

impl Pulls {
    /// A content was refused by a 429 that does not say for how long. Returns for how long none is asked for, where
    /// that is a quota by now: twice as long each time, at most an hour.
    pub fn on_refused(&mut self, now: Time, sent: Time) -> Option<Duration> {
        if self.since.is_some_and(|since| sent <= since) {
            return None;
        }
        self.since = Some(now);
        self.n_refused = self.n_refused.saturating_add(1);
        if self.n_refused < REFUSALS_MIN {
            return None;
        }
        let hold = 1_u32
            .checked_shl(self.n_refused.min(31))
            .map_or(HOLD_MAX, |secs| Duration::from_secs(secs.into()))
            .min(HOLD_MAX);
        self.held_until = Some(now.after(hold));
        Some(hold)
    }

    /// A content was read.
    pub fn on_answered(&mut self) {
        *self = Self::default();
    }

    /// Until when no content is asked for, if so.
    pub fn held_until(&self, now: Time) -> Option<Time> {
        self.held_until.filter(|until| *until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_is_tried_ever_more_seldom_until_it_is_renewed() {
        let mut pulls = Pulls::default();
        let mut now = Time::from_secs(100);
        let mut n_tries = 0;
        while now < Time::from_secs(100 + 6 * 3600) {
            n_tries += 1;
            let hold = pulls.on_refused(now.after(Duration::from_millis(1)), now);
            let wait = hold.unwrap_or(Duration::from_secs(2));
            assert!(wait <= HOLD_MAX);
            now = now.after(wait + Duration::from_secs(1));
        }
        assert!((10..25).contains(&n_tries), "{n_tries}");
        assert!(pulls.held_until(Time::from_secs(100 + 6 * 3600)).is_some());
        pulls.on_answered();
        assert_eq!(pulls.held_until(now), None);
        assert_eq!(
            pulls.on_refused(now.after(Duration::from_secs(1)), now),
            None
        );
    }

    #[test]
    fn refusals_that_were_under_way_together_count_once() {
        let mut pulls = Pulls::default();
        let sent = Time::from_secs(5);
        for n in 0..15 {
            let now = Time::from_secs(6).after(Duration::from_millis(n));
            assert_eq!(pulls.on_refused(now, sent), None, "{n}");
        }
    }
}
