//! How many failed attempts of an endpoint may be followed by another: an outage of the registry must not
//! become a storm of ours (`simulation.md` S5).

use crate::time::Time;

/// A fifth of an attempt for each answer.
const PER_ANSWER: u32 = 200;
/// One attempt, in thousandths.
const ATTEMPT: u32 = 1000;
/// Attempts that are there without any answer, and come back within a minute.
const FLOOR: u32 = 30 * ATTEMPT;
/// Most that answers can add up to.
const BALANCE_MAX: u32 = 300 * ATTEMPT;
/// How long a thousandth of the floor takes to come back.
const REFILL_MILLIS: u64 = 60_000 / 30_000;

/// Further attempts that an endpoint has left.
#[derive(Clone, Debug)]
pub struct RetryBudget {
    /// In thousandths of an attempt.
    balance: u32,
    /// Up to where the floor was refilled.
    refilled: Time,
}

impl RetryBudget {
    /// A budget that holds its floor.
    pub const fn new() -> Self {
        Self {
            balance: FLOOR,
            refilled: Time::ZERO,
        }
    }

    /// The registry answered.
    pub fn on_answer(&mut self) {
        self.balance = (self.balance + PER_ANSWER).min(BALANCE_MAX);
    }

    /// Takes one further attempt. False when there is none left.
    pub fn take(&mut self, now: Time) -> bool {
        let millis = now.as_millis().saturating_sub(self.refilled.as_millis());
        // What is less than a thousandth counts the next time.
        self.refilled = Time::from_millis(now.as_millis() - millis % REFILL_MILLIS);
        if self.balance < FLOOR {
            let back = u32::try_from(millis / REFILL_MILLIS).unwrap_or(u32::MAX);
            self.balance = self.balance.saturating_add(back).min(FLOOR);
        }
        let is_left = self.balance >= ATTEMPT;
        if is_left {
            self.balance -= ATTEMPT;
        }
        is_left
    }
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_a_floor_per_minute_and_a_fifth_of_the_answers() {
        let mut budget = RetryBudget::new();
        let take_all = |budget: &mut RetryBudget, secs| {
            (0..1000)
                .take_while(|_| budget.take(Time::from_secs(secs)))
                .count()
        };
        assert_eq!(take_all(&mut budget, 0), 30);
        assert_eq!(take_all(&mut budget, 1), 0, "half an attempt");
        assert_eq!(take_all(&mut budget, 20), 10);
        assert_eq!(take_all(&mut budget, 3600), 30, "no more than the floor");
        (0..50).for_each(|_| budget.on_answer());
        assert_eq!(take_all(&mut budget, 3600), 10);
        (0..100_000).for_each(|_| budget.on_answer());
        assert_eq!(take_all(&mut budget, 3600), 300);
    }
}
