//! Environment variables without a flag that concern Git (`writeback.md` 1.2).

use std::time::Duration;

use image_updater_core::duration::GoDuration;

use super::environment::Environment;

/// How changes are gathered, and how patient the program is with Git servers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GitVariables {
    /// `GIT_BATCH_DISABLE`, the other way round: changes of several applications may share a commit.
    pub is_batching: bool,
    /// `GIT_BATCH_FLUSH_INTERVAL`: the longest time that a change waits for others.
    pub batch_flush_interval: Duration,
    /// `GIT_BATCH_MAX`: changes that wait before they are written at once.
    pub batch_max: u32,
    /// `ARGOCD_GIT_ATTEMPTS_COUNT`: at least one.
    pub push_attempts_max: u32,
    /// `ARGOCD_GIT_RETRY_DURATION`: the pause behind the first attempt.
    pub push_backoff_base: Duration,
    /// `ARGOCD_GIT_RETRY_MAX_DURATION`: the longest pause; zero means no limit.
    pub push_backoff_max: Duration,
    /// `ARGOCD_GIT_RETRY_FACTOR`: by which each pause is longer than the one before.
    pub push_backoff_factor: u32,
    /// `ARGOCD_EXEC_TIMEOUT`: for one exchange with a Git server.
    pub exchange_timeout: Duration,
    /// `GIT_PACK_BYTES_MAX`: what one read of a repository may take in memory.
    pub pack_bytes_max: u32,
    /// `ARGOCD_GIT_REQUEST_TIMEOUT`: for one request for a token.
    pub request_timeout: Duration,
    /// `ARGOCD_GITHUB_APP_CREDS_EXPIRATION_DURATION`, in minutes: how long a token is kept (WB-50).
    pub github_token_lifetime: Duration,
}

impl GitVariables {
    /// Reads all of them; an unacceptable value is the default, with a warning.
    pub fn of(environment: &Environment, warnings: &mut Vec<String>) -> Self {
        let attempts = environment.integer_or(
            "ARGOCD_GIT_ATTEMPTS_COUNT",
            3,
            (i64::MIN, i64::MAX),
            warnings,
        );
        let minutes = "ARGOCD_GITHUB_APP_CREDS_EXPIRATION_DURATION";
        let minutes = count(environment, minutes, 60, (1, 1_440), warnings);
        let mut span = |name, default, min| span(environment, name, default, min, warnings);
        let nanosecond = GoDuration::from_nanos(1);
        let zero = GoDuration::ZERO;
        let (batch_flush_interval, push_backoff_base, push_backoff_max) = (
            span("GIT_BATCH_FLUSH_INTERVAL", 2_000, nanosecond),
            span("ARGOCD_GIT_RETRY_DURATION", 500, zero),
            span("ARGOCD_GIT_RETRY_MAX_DURATION", 10_000, zero),
        );
        let exchange_timeout = span("ARGOCD_EXEC_TIMEOUT", 90_000, nanosecond);
        let request_timeout = span("ARGOCD_GIT_REQUEST_TIMEOUT", 15_000, nanosecond);
        Self {
            is_batching: !environment.bool_or("GIT_BATCH_DISABLE", false, warnings),
            batch_flush_interval,
            batch_max: count(environment, "GIT_BATCH_MAX", 10, (1, 1_000), warnings),
            push_attempts_max: u32::try_from(attempts.max(1)).unwrap_or(u32::MAX),
            push_backoff_base,
            push_backoff_max,
            push_backoff_factor: count(
                environment,
                "ARGOCD_GIT_RETRY_FACTOR",
                2,
                (0, 1_000),
                warnings,
            ),
            exchange_timeout,
            pack_bytes_max: count(
                environment,
                "GIT_PACK_BYTES_MAX",
                64 << 20,
                (1 << 20, 1 << 31),
                warnings,
            ),
            request_timeout,
            github_token_lifetime: Duration::from_secs(u64::from(minutes) * 60),
        }
    }
}

fn count(
    environment: &Environment,
    name: &str,
    default: u32,
    (min, max): (u32, u32),
    warnings: &mut Vec<String>,
) -> u32 {
    let bounds = (i64::from(min), i64::from(max));
    let number = environment.integer_or(name, default.into(), bounds, warnings);
    u32::try_from(number).unwrap_or(default)
}

/// A duration of at least `min`; the default is in milliseconds.
fn span(
    environment: &Environment,
    name: &str,
    default_ms: u32,
    min: GoDuration,
    warnings: &mut Vec<String>,
) -> Duration {
    let default = GoDuration::from_nanos(i64::from(default_ms) * 1_000_000);
    let read = environment.duration_or(name, default, warnings);
    let accepted = if read < min {
        warnings.push(format!(
            "{name} is {read}, which is too short; {default} is used"
        ));
        default
    } else {
        read
    };
    accepted.to_duration().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unset_variables_are_their_documented_defaults() {
        let mut warnings = Vec::new();
        let variables = GitVariables::of(&Environment::default(), &mut warnings);
        assert!(variables.is_batching);
        assert_eq!(variables.batch_flush_interval, Duration::from_secs(2));
        assert_eq!(variables.batch_max, 10);
        assert_eq!(variables.push_attempts_max, 3);
        assert_eq!(variables.push_backoff_base, Duration::from_millis(500));
        assert_eq!(variables.push_backoff_max, Duration::from_secs(10));
        assert_eq!(variables.push_backoff_factor, 2);
        assert_eq!(variables.exchange_timeout, Duration::from_secs(90));
        assert_eq!(variables.pack_bytes_max, 64 << 20);
        assert_eq!(variables.request_timeout, Duration::from_secs(15));
        assert_eq!(variables.github_token_lifetime, Duration::from_hours(1));
        assert!(warnings.is_empty(), "{warnings:?}");
    }

    #[test]
    fn no_value_ends_the_program_or_stops_writing() {
        let environment = Environment::from_iter([
            ("GIT_BATCH_FLUSH_INTERVAL", "0s"),
            ("GIT_BATCH_MAX", "1001"),
            ("ARGOCD_GIT_ATTEMPTS_COUNT", "many"),
            ("ARGOCD_GIT_RETRY_DURATION", "-1s"),
            ("ARGOCD_EXEC_TIMEOUT", "0"),
        ]);
        let mut warnings = Vec::new();
        let variables = GitVariables::of(&environment, &mut warnings);
        let default = GitVariables::of(&Environment::default(), &mut Vec::new());
        assert_eq!(variables, default);
        assert_eq!(warnings.len(), 5, "{warnings:?}");
        let environment = Environment::from_iter([("ARGOCD_GIT_ATTEMPTS_COUNT", "-3")]);
        let variables = GitVariables::of(&environment, &mut Vec::new());
        assert_eq!(variables.push_attempts_max, 1);
    }
}
