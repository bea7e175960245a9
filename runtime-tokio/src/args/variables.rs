//! Environment variables without a flag that concern registries (`ops.md` 19.7, `registry.md` 15).

use std::time::Duration;

use image_updater_core::duration::GoDuration;
use image_updater_core::health::is_failing_wanted;

use super::environment::Environment;

/// How patient the program is with registries, and how many connections it keeps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RegistryVariables {
    /// `REGISTRY_TAG_ATTEMPTS`.
    pub tag_attempts_max: u32,
    /// `REGISTRY_TAG_TIMEOUT`: for all pages of one attempt.
    pub tag_timeout: Duration,
    /// `REGISTRY_MANIFEST_ATTEMPTS`.
    pub manifest_attempts_max: u32,
    /// `REGISTRY_MANIFEST_TIMEOUT`.
    pub manifest_timeout: Duration,
    /// `REGISTRY_JWT_ATTEMPTS`.
    pub token_attempts_max: u32,
    /// `REGISTRY_JWT_RETRY_BASE`.
    pub token_backoff_base: Duration,
    /// `REGISTRY_JWT_RETRY_MAX`.
    pub token_backoff_max: Duration,
    /// `REGISTRY_RESPONSE_HEADER_TIMEOUT`.
    pub response_header_timeout: Duration,
    /// `REGISTRY_TLS_HANDSHAKE_TIMEOUT`.
    pub tls_handshake_timeout: Duration,
    /// `REGISTRY_IDLE_CONN_TIMEOUT`; zero means no limit.
    pub idle_connection_timeout: Duration,
    /// `REGISTRY_MAX_CONNS_PER_HOST`.
    pub connections_per_host_max: u32,
    /// `REGISTRY_MAX_IDLE_CONNS`.
    pub idle_connections_max: u32,
    /// `REGISTRY_MAX_IDLE_CONNS_PER_HOST`.
    pub idle_connections_per_host_max: u32,
    /// `REGISTRY_TRANSPORT_JANITOR_INTERVAL`; zero means off.
    pub janitor_interval: Duration,
    /// `PORT_EXHAUSTION_WINDOW`.
    pub port_exhaustion_window: Duration,
    /// `PORT_EXHAUSTION_THRESHOLD`.
    pub port_exhaustion_threshold: u32,
    /// `HEALTH_FAIL_ON_PORT_EXHAUSTION`.
    pub fails_on_port_exhaustion: bool,
}

const SECOND_MS: u32 = 1_000;
const HOUR_MS: u32 = 3_600_000;
const DAY_MS: u32 = 24 * HOUR_MS;

/// `OVERRIDE_MAX_RETRIES`: how often a write is repeated after its first attempt (`ops.md` 13.1).
pub fn write_retries_max(environment: &Environment, warnings: &mut Vec<String>) -> u32 {
    let number = environment.integer_or("OVERRIDE_MAX_RETRIES", 7, (0, 100), warnings);
    u32::try_from(number).unwrap_or(7)
}

impl RegistryVariables {
    /// Reads all of them; unacceptable numbers are the default with a warning, unacceptable
    /// durations silently.
    pub fn of(environment: &Environment, warnings: &mut Vec<String>) -> Self {
        let mut count = |name: &str, default: u32, max: u32| {
            let bounds = (1, i64::from(max));
            let number = environment.integer_or(name, default.into(), bounds, warnings);
            u32::try_from(number).unwrap_or(default)
        };
        Self {
            tag_attempts_max: count("REGISTRY_TAG_ATTEMPTS", 3, 100),
            manifest_attempts_max: count("REGISTRY_MANIFEST_ATTEMPTS", 3, 100),
            token_attempts_max: count("REGISTRY_JWT_ATTEMPTS", 7, 100),
            connections_per_host_max: count("REGISTRY_MAX_CONNS_PER_HOST", 30, 10_000),
            idle_connections_max: count("REGISTRY_MAX_IDLE_CONNS", 1_000, 100_000),
            port_exhaustion_threshold: count("PORT_EXHAUSTION_THRESHOLD", 8, 100_000),
            idle_connections_per_host_max: count("REGISTRY_MAX_IDLE_CONNS_PER_HOST", 200, 100_000),
            tag_timeout: span(
                environment,
                "REGISTRY_TAG_TIMEOUT",
                60_000,
                (SECOND_MS, HOUR_MS),
            ),
            manifest_timeout: span(
                environment,
                "REGISTRY_MANIFEST_TIMEOUT",
                60_000,
                (SECOND_MS, HOUR_MS),
            ),
            token_backoff_base: span(environment, "REGISTRY_JWT_RETRY_BASE", 200, (0, HOUR_MS)),
            token_backoff_max: span(environment, "REGISTRY_JWT_RETRY_MAX", 3_000, (0, HOUR_MS)),
            response_header_timeout: span(
                environment,
                "REGISTRY_RESPONSE_HEADER_TIMEOUT",
                60_000,
                (SECOND_MS, HOUR_MS),
            ),
            tls_handshake_timeout: span(
                environment,
                "REGISTRY_TLS_HANDSHAKE_TIMEOUT",
                10_000,
                (SECOND_MS, HOUR_MS),
            ),
            idle_connection_timeout: span(
                environment,
                "REGISTRY_IDLE_CONN_TIMEOUT",
                90_000,
                (0, DAY_MS),
            ),
            port_exhaustion_window: span(
                environment,
                "PORT_EXHAUSTION_WINDOW",
                60_000,
                (SECOND_MS, DAY_MS),
            ),
            fails_on_port_exhaustion: is_failing_wanted(
                environment.text("HEALTH_FAIL_ON_PORT_EXHAUSTION"),
            ),
            janitor_interval: span(
                environment,
                "REGISTRY_TRANSPORT_JANITOR_INTERVAL",
                300_000,
                (0, DAY_MS),
            ),
        }
    }
}

/// A bounded duration; default and bounds in milliseconds.
fn span(
    environment: &Environment,
    name: &str,
    default_ms: u32,
    (min_ms, max_ms): (u32, u32),
) -> Duration {
    let of_ms = |millis: u32| GoDuration::from_nanos(i64::from(millis) * 1_000_000);
    environment
        .bounded_duration_or(name, of_ms(default_ms), (of_ms(min_ms), of_ms(max_ms)))
        .to_duration()
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unset_variables_are_their_documented_defaults() {
        let mut warnings = Vec::new();
        let variables = RegistryVariables::of(&Environment::default(), &mut warnings);
        assert_eq!(variables.tag_attempts_max, 3);
        assert_eq!(variables.tag_timeout, Duration::from_mins(1));
        assert_eq!(variables.token_attempts_max, 7);
        assert_eq!(variables.token_backoff_base, Duration::from_millis(200));
        assert_eq!(variables.connections_per_host_max, 30);
        assert_eq!(variables.janitor_interval, Duration::from_mins(5));
        assert_eq!(variables.port_exhaustion_window, Duration::from_mins(1));
        assert_eq!(variables.port_exhaustion_threshold, 8);
        assert!(variables.fails_on_port_exhaustion);
        assert!(warnings.is_empty(), "{warnings:?}");
    }

    #[test]
    fn writes_are_repeated_seven_times_unless_told_otherwise() {
        let mut warnings = Vec::new();
        for (value, retries) in [("", 7), ("0", 0), ("100", 100), ("101", 7), ("many", 7)] {
            let environment = Environment::from_iter([("OVERRIDE_MAX_RETRIES", value)]);
            assert_eq!(
                write_retries_max(&environment, &mut warnings),
                retries,
                "{value:?}"
            );
        }
        assert_eq!(warnings.len(), 2, "{warnings:?}");
    }

    #[test]
    fn values_outside_their_bounds_are_not_taken() {
        let environment = Environment::from_iter([
            ("REGISTRY_TAG_ATTEMPTS", "101"),
            ("REGISTRY_TAG_TIMEOUT", "500ms"),
            ("REGISTRY_IDLE_CONN_TIMEOUT", "-5s"),
            ("REGISTRY_TRANSPORT_JANITOR_INTERVAL", "0"),
            ("REGISTRY_MANIFEST_TIMEOUT", "90s"),
        ]);
        let mut warnings = Vec::new();
        let variables = RegistryVariables::of(&environment, &mut warnings);
        assert_eq!(variables.tag_attempts_max, 3);
        assert_eq!(variables.tag_timeout, Duration::from_mins(1));
        assert_eq!(variables.idle_connection_timeout, Duration::from_secs(90));
        assert_eq!(variables.janitor_interval, Duration::ZERO);
        assert_eq!(variables.manifest_timeout, Duration::from_secs(90));
        assert_eq!(warnings.len(), 1, "{warnings:?}");
    }
}
