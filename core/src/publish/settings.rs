//! The bounds of write-back through Git.

use alloc::boxed::Box;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::time::Duration;

use crate::git::Identity;
use crate::writeback::message::MessageTemplate;

/// Most intents in one batch, whatever triggers it (`design.md` 4.7).
pub const BATCH_INTENTS_MAX: usize = 1_000;

/// How write-back through Git is done (`writeback.md` 1.2, 15).
#[derive(Clone, PartialEq, Debug)]
pub struct PublishSettings {
    /// False with `GIT_BATCH_DISABLE`: every application has a commit of its own.
    pub is_batched: bool,
    /// `GIT_BATCH_MAX`: so many waiting intents close a batch; it takes all that wait, not only these.
    pub batch_trigger: usize,
    /// `GIT_BATCH_FLUSH_INTERVAL`: the longest that a first intent waits for others.
    pub flush_interval: Duration,
    /// Attempts under way at once, over all repositories: each may hold a pack in memory.
    pub in_flight_max: usize,
    /// `ARGOCD_GIT_ATTEMPTS_COUNT`: attempts of one intent, the first included.
    pub attempts_max: u32,
    /// `ARGOCD_GIT_RETRY_DURATION`: the pause before the second attempt.
    pub backoff_base: Duration,
    /// `ARGOCD_GIT_RETRY_FACTOR`: by how much each further pause is longer.
    pub backoff_factor: u32,
    /// `ARGOCD_GIT_RETRY_MAX_DURATION`: the longest pause, before jitter.
    pub backoff_max: Duration,
    /// `ARGOCD_EXEC_TIMEOUT`: how long one attempt may take.
    pub timeout: Duration,
    /// Who writes commits: `GIT_COMMIT_USER`, `GIT_COMMIT_EMAIL`.
    pub author: Identity,
    /// Commits are signed; with what is known to the driver alone.
    pub is_signed: bool,
    /// `GIT_COMMIT_SIGN_OFF`.
    pub is_signed_off: bool,
    /// The template of messages.
    pub template: MessageTemplate,
    /// The namespace of Argo CD: decides the name of override files (`writeback.md` 2.4).
    pub controller_namespace: Box<str>,
}

impl PublishSettings {
    /// The documented defaults, for a controller in `controller_namespace`.
    pub fn new(controller_namespace: impl Into<Box<str>>) -> Self {
        Self {
            is_batched: true,
            batch_trigger: 10,
            flush_interval: Duration::from_secs(2),
            in_flight_max: 4,
            attempts_max: 3,
            backoff_base: Duration::from_millis(500),
            backoff_factor: 2,
            backoff_max: Duration::from_secs(10),
            timeout: Duration::from_secs(90),
            author: Identity {
                name: "argocd-image-updater".to_string(),
                email: "noreply@argoproj.io".to_string(),
            },
            is_signed: false,
            is_signed_off: false,
            template: MessageTemplate::default(),
            controller_namespace: controller_namespace.into(),
        }
    }

    /// What is wrong, one sentence each that names the setting and what is accepted.
    pub fn problems(&self) -> Vec<String> {
        let checks = [
            (
                (1..=BATCH_INTENTS_MAX).contains(&self.batch_trigger),
                "GIT_BATCH_MAX: must be between 1 and 1000",
            ),
            (
                !self.flush_interval.is_zero(),
                "GIT_BATCH_FLUSH_INTERVAL: must be longer than 0s",
            ),
            (
                self.in_flight_max > 0,
                "publishes: at least one must be allowed at a time",
            ),
            (
                self.attempts_max > 0,
                "ARGOCD_GIT_ATTEMPTS_COUNT: must be at least 1",
            ),
            (
                !self.timeout.is_zero(),
                "ARGOCD_EXEC_TIMEOUT: must be longer than 0s",
            ),
        ];
        let wrong = checks.into_iter().filter(|(is_right, _)| !is_right);
        wrong.map(|(_, text)| text.to_string()).collect()
    }

    /// The pause after failed attempt `n` (counted from 0): `base * factor^n`, at most the maximum.
    pub(super) fn pause(&self, n: u32) -> Duration {
        let factor = self.backoff_factor.max(1).saturating_pow(n);
        self.backoff_base
            .saturating_mul(factor)
            .min(self.backoff_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_their_bound() {
        let settings = PublishSettings::new("argocd");
        let pauses: Vec<u128> = (0..7).map(|n| settings.pause(n).as_millis()).collect();
        assert_eq!(pauses, [500, 1000, 2000, 4000, 8000, 10_000, 10_000]);
        assert_eq!(settings.pause(u32::MAX), settings.backoff_max);
    }

    #[test]
    fn every_problem_is_named() {
        let mut settings = PublishSettings::new("argocd");
        assert_eq!(settings.problems(), Vec::<String>::new());
        settings.batch_trigger = 1_001;
        settings.flush_interval = Duration::ZERO;
        settings.attempts_max = 0;
        let problems = settings.problems();
        assert_eq!(problems.len(), 3, "{problems:?}");
        assert!(
            problems
                .iter()
                .any(|problem| problem.contains("GIT_BATCH_MAX"))
        );
    }
}
