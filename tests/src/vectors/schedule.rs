//! Vectors of the room `schedule`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use image_updater_core::id::AppKey;
use image_updater_core::keyed::Seed;
use image_updater_core::schedule::{
    Concurrency, Grant, History, LaneId, Line, Mode, Outcome, PassKind, Policy, Schedule,
    ScheduleSettings, Slots, is_cycle_due, is_due,
};
use image_updater_core::time::Time;
use serde_json::{Value, json};

use super::{Case, Runner, Verdict};

/// The runner of `group`, if this room has it.
pub(super) fn runner(file: &str, group: &str) -> Option<Runner> {
    match (file, group) {
        ("ops", "scheduler_order") => Some(scheduler_order),
        ("ops", "continuous_due") => Some(continuous_due),
        ("ops", "cycle_due") => Some(cycle_due),
        ("ops", "auto_concurrency") => Some(auto_concurrency),
        ("ops", "continuous_timeline") => Some(continuous_timeline),
        _ => None,
    }
}

/// One pass with given memories: the line, the due rule and the slots that the machine uses.
fn scheduler_order(case: &Case<'_>) -> Verdict {
    let input = case.input;
    let now = Time::from_secs(number(&input["now"]));
    let interval = secs(&input["interval_s"]);
    let is_continuous = mode(&input["mode"]) == Mode::Continuous;
    let kind = if is_continuous {
        PassKind::Timed
    } else {
        PassKind::Whole
    };
    let cap = u32::try_from(number(&input["per_repo_cap"])).expect("a cap is small");
    let mut line = Line::new(
        policy(&input["policy"]),
        secs(&input["cooldown_s"]),
        cap,
        kind,
    );
    let free = input["free_slots"].as_u64();
    let mut slots =
        Slots::new(free.map_or(u32::MAX, |free| u32::try_from(free).expect("slots are few")));
    let in_flight = texts(&input["in_flight"]);
    let mut not_considered = BTreeMap::new();
    let mut candidates: Vec<(Arc<AppKey>, LaneId, History)> = Vec::new();
    for app in input["apps"].as_array().expect("a list of applications") {
        let name = text(&app["app"]);
        let lane = line.join(app["repo"].as_str().unwrap_or_default());
        let history = History {
            last_attempt: optional_secs(&app["last_attempt"]),
            last_success: optional_secs(&app["last_success"]),
            fail_count: u32::try_from(app["fail_count"].as_u64().unwrap_or(0)).expect("few"),
        };
        let is_running = is_continuous && in_flight.contains(&name);
        if is_running {
            line.on_started(history.last_attempt.unwrap_or(now).min(now), lane);
            not_considered.insert(name.to_owned(), "in-flight");
        } else if is_continuous && !is_due(history.last_attempt, now, interval, is_running) {
            not_considered.insert(name.to_owned(), "not-due");
        } else {
            candidates.push((key(name), lane, history));
        }
    }
    for (key, lane, history) in &candidates {
        line.enter(now, *lane, key, history, None);
    }
    let mut dispatch = Vec::new();
    while slots.can_take()
        && let Some((key, _)) = line.poll_next(now)
    {
        slots.take();
        dispatch.push(key.to_string());
    }
    let mut deferred = BTreeMap::new();
    for (key, lane, _) in &candidates {
        let name = key.to_string();
        if !dispatch.contains(&name) {
            let reason = if line.is_blocked(*lane) {
                "per-repo-cap"
            } else {
                "no-slot"
            };
            deferred.insert(name, reason);
        }
    }
    let got = json!({
        "dispatch": dispatch,
        "deferred": listed(&deferred),
        "not_considered": listed(&not_considered),
    });
    Verdict::of(case, &got)
}

/// Applications with reasons, by key.
fn listed(reasons: &BTreeMap<String, &str>) -> Vec<Value> {
    let listed = reasons.iter();
    listed
        .map(|(app, reason)| json!({"app": app, "reason": reason}))
        .collect()
}

fn continuous_due(case: &Case<'_>) -> Verdict {
    let input = case.input;
    let due = is_due(
        optional_millis(&input["last_attempt_ms"]),
        Time::from_millis(number(&input["now_ms"])),
        Duration::from_millis(number(&input["interval_ms"])),
        input["in_flight"].as_bool().unwrap_or(false),
    );
    Verdict::of(case, &json!({"due": due}))
}

/// Either the rule alone, or a machine with one application looked at once per tick.
fn cycle_due(case: &Case<'_>) -> Verdict {
    let input = case.input;
    if !input["now_ms"].is_null() {
        let start = is_cycle_due(
            optional_millis(&input["last_end_ms"]),
            Time::from_millis(number(&input["now_ms"])),
            Duration::from_millis(number(&input["interval_ms"])),
        );
        return Verdict::of(case, &json!({"start": start}));
    }
    let interval = secs(&input["interval_s"]);
    let duration = number(&input["cycle_duration_s"]);
    let tick = number(&input["tick_s"]).max(1);
    let horizon = input["horizon_s"].as_u64().unwrap_or(3600);
    let mut schedule = Schedule::new(plain_settings(Mode::Cycle, interval), Seed(0));
    let app = key("ns/a");
    schedule.on_applied(Time::ZERO, &app, "");
    schedule.handle_synced(Time::ZERO);
    let mut starts: Vec<u64> = Vec::new();
    let mut ends: Vec<u64> = Vec::new();
    let mut gaps = Vec::new();
    let mut exit = Value::Null;
    for at in (0..=horizon).step_by(usize::try_from(tick).expect("a tick is small")) {
        let now = Time::from_secs(at);
        if starts.last().is_some_and(|start| *start + duration == at) {
            schedule.on_finished(now, &app, Outcome::Success);
            ends.push(at);
        }
        while schedule.poll_grant(now).is_some() {
            gaps.extend(ends.last().map(|end| at - *end));
            starts.push(at);
        }
        if schedule.is_once_finished() {
            exit = json!(0);
        }
    }
    if let Some(bounds) = case.expect.get("gap_end_to_next_start_s") {
        let (above, most) = (number(&bounds["more_than"]), number(&bounds["at_most"]));
        let fits = !gaps.is_empty() && gaps.iter().all(|gap| *gap > above && *gap <= most);
        return Verdict::from_bool(fits, &format!("{gaps:?}"));
    }
    Verdict::of(case, &json!({"cycle_starts_s": starts, "exit": exit}))
}

fn auto_concurrency(case: &Case<'_>) -> Verdict {
    let input = case.input;
    let max = input["max_concurrency"].as_i64().expect("a number");
    let got = match Concurrency::try_from(max) {
        Err(_) => json!({"error": true}),
        Ok(concurrency) => {
            let settings = ScheduleSettings {
                cpus: u32::try_from(number(&input["cpus"])).expect("CPUs are few"),
                concurrency_max: concurrency,
                ..plain_settings(Mode::Continuous, Duration::from_mins(2))
            };
            let workers = settings.workers(
                usize::try_from(number(&input["apps"])).expect("applications are few"),
                input["warmup"].as_bool().unwrap_or(false),
            );
            json!({"workers": workers})
        }
    };
    Verdict::of(case, &got)
}

/// The machine in continuous mode through virtual seconds, spread and jitter off.
fn continuous_timeline(case: &Case<'_>) -> Verdict {
    let input = case.input;
    let interval = secs(&input["interval_s"]);
    let max = input["max_concurrency"].as_i64().expect("a number");
    let mut schedule = Schedule::new(
        ScheduleSettings {
            policy: policy(&input["policy"]),
            cooldown: secs(&input["cooldown_s"]),
            per_repo_cap: u32::try_from(number(&input["per_repo_cap"])).expect("a cap is small"),
            concurrency_max: Concurrency::try_from(max).expect("a valid concurrency"),
            ..plain_settings(Mode::Continuous, interval)
        },
        Seed(0),
    );
    let apps = input["apps"].as_object().expect("applications by key");
    for (name, app) in apps {
        let repo = app["repo"].as_str().unwrap_or_default();
        schedule.on_applied(Time::ZERO, &key(name), repo);
    }
    schedule.handle_synced(Time::ZERO);
    let mut running: Vec<(u64, Arc<AppKey>)> = Vec::new();
    let mut runs: BTreeMap<String, usize> = BTreeMap::new();
    let mut dispatches = Vec::new();
    let mut in_flight_max = 0;
    for at in 0..=number(&input["horizon_s"]) {
        let now = Time::from_secs(at);
        for (_, app) in running.extract_if(.., |(end, _)| *end <= at) {
            let nth = runs.entry(app.to_string()).or_default();
            let result = &input["results"][app.to_string()][*nth];
            *nth += 1;
            let outcome = if result.as_bool().unwrap_or(true) {
                Outcome::Success
            } else {
                Outcome::Failure
            };
            schedule.on_finished(now, &app, outcome);
        }
        while let Some(grant) = schedule.poll_grant(now) {
            let Grant::Start { key, .. } = grant else {
                panic!("nobody asked for a slot");
            };
            let name = key.to_string();
            dispatches.push(json!([at, name]));
            running.push((at + number(&apps[&name]["duration_s"]), key));
            in_flight_max = in_flight_max.max(running.len());
        }
    }
    let got = json!({"dispatches": dispatches, "max_in_flight": in_flight_max});
    Verdict::of(case, &got)
}

fn plain_settings(mode: Mode, interval: Duration) -> ScheduleSettings {
    ScheduleSettings {
        warmup: false,
        start_spread: Duration::ZERO,
        jitter_percent: 0,
        ..ScheduleSettings::new(mode, interval)
    }
}

fn key(name: &str) -> Arc<AppKey> {
    let (namespace, name) = name.split_once('/').expect("namespace/name");
    Arc::new(AppKey::new(namespace, name))
}

fn mode(value: &Value) -> Mode {
    match text(value) {
        "cycle" => Mode::Cycle,
        "continuous" => Mode::Continuous,
        other => panic!("no mode: {other}"),
    }
}

fn policy(value: &Value) -> Policy {
    match value.as_str() {
        None | Some("default") => Policy::Default,
        Some("lru") => Policy::Lru,
        Some("fail-first") => Policy::FailFirst,
        Some(other) => panic!("no policy: {other}"),
    }
}

/// A number; 0 when it is left out.
fn number(value: &Value) -> u64 {
    if value.is_null() {
        return 0;
    }
    value.as_u64().expect("a number that is not negative")
}

fn secs(value: &Value) -> Duration {
    Duration::from_secs(number(value))
}

fn optional_secs(value: &Value) -> Option<Time> {
    value.as_u64().map(Time::from_secs)
}

fn optional_millis(value: &Value) -> Option<Time> {
    value.as_u64().map(Time::from_millis)
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

fn texts(value: &Value) -> Vec<&str> {
    value
        .as_array()
        .map_or_else(Vec::new, |all| all.iter().map(text).collect())
}
