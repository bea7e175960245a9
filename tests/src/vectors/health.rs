//! Vectors about health: exhausted local ports and what a probe is told.

use std::time::Duration;

use image_updater_core::health::{Health, PortExhaustion, is_failing_wanted, is_no_local_port};
use image_updater_core::time::Time;
use image_updater_tokio::args::{Environment, RegistryVariables};
use serde_json::{Value, json};

use super::{Case, Runner, Verdict};

/// The runner of `group`, if this room has it.
pub(super) fn runner(file: &str, group: &str) -> Option<Runner> {
    let run: Runner = match (file, group) {
        ("registry", "port_exhaustion_window") => |case| Verdict::of(case, &window(case.input)),
        ("registry", "port_exhaustion_error_match") => {
            |case| Verdict::of(case, &error_match(case.input))
        }
        ("registry", "health_endpoint") => |case| Verdict::of(case, &endpoint(case.input)),
        ("ops", "health_probe") => |case: &Case<'_>| Verdict::of(case, &probe(case.input)),
        _ => return None,
    };
    Some(run)
}

fn number(value: &Value) -> u64 {
    value.as_u64().expect("a whole number")
}

fn numbers(value: &Value) -> impl Iterator<Item = u64> {
    value.as_array().into_iter().flatten().map(number)
}

fn window(input: &Value) -> Value {
    let threshold = u32::try_from(number(&input["threshold"])).expect("a threshold");
    let window = Duration::from_millis(number(&input["window_ms"]));
    let mut ports = PortExhaustion::new(window, threshold);
    numbers(&input["events_ms"]).for_each(|at| ports.record(Time::from_millis(at)));
    let now = Time::from_millis(number(&input["query_ms"]));
    json!({ "count": ports.count(now), "degraded": ports.is_degraded(now) })
}

fn error_match(input: &Value) -> Value {
    let os_errno = input["os_errno"].as_i64();
    let os_errno = os_errno.map(|number| i32::try_from(number).expect("an error number"));
    let message = input["message"].as_str().expect("a message");
    json!({ "recorded": is_no_local_port(os_errno, message) })
}

fn answer(health: Health) -> Value {
    let (status, body) = health.answer();
    json!({ "status": status, "body": body })
}

fn endpoint(input: &Value) -> Value {
    answer(Health {
        is_degraded: input["degraded"].as_bool().expect("a verdict"),
        is_failing_wanted: is_failing_wanted(input["flag"].as_str()),
        ..Health::default()
    })
}

/// Failures come in the order of their ages, the oldest first.
fn probe(input: &Value) -> Value {
    let pairs = input["env"].as_object().expect("variables");
    let environment: Environment = pairs
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str().unwrap_or("")))
        .collect();
    let variables = RegistryVariables::of(&environment, &mut Vec::new());
    let mut ports = PortExhaustion::new(
        variables.port_exhaustion_window,
        variables.port_exhaustion_threshold,
    );
    let now_secs = 1_000_000;
    let mut ages: Vec<u64> = numbers(&input["port_errors_s"]).collect();
    ages.sort_unstable();
    for age in ages.iter().rev() {
        ports.record(Time::from_secs(now_secs - age));
    }
    let now = Time::from_secs(now_secs);
    answer(Health {
        is_degraded: ports.is_degraded(now),
        n_port_failures: ports.count(now),
        is_failing_wanted: variables.fails_on_port_exhaustion,
    })
}
