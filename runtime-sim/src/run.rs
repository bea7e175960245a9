//! One whole run: its phases, its verdict, and what it prints.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use image_updater_core::id::AppKey;
use image_updater_core::time::Time;

use crate::checks::Violation;
use crate::engine::Engine;
use crate::options::{Options, Profile};
use crate::settings;
use crate::trace::Trace;
use crate::workload::Plan;
use crate::world::NAMESPACE;

/// How a run ended, as a number for the shell (`simulation.md` 3.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitCode {
    /// Everything held.
    Ok = 0,
    /// The core panicked (S20).
    Panic = 101,
    /// A safety invariant did not hold.
    Safety = 111,
    /// A liveness invariant did not hold.
    Liveness = 112,
    /// Two runs of one plan differ (D1).
    Determinism = 113,
    /// The harness is wrong: the options make no valid settings.
    Harness = 114,
}

/// What came out of a run.
#[derive(Debug)]
pub struct Report {
    /// What was run.
    pub options: Options,
    /// The hash over everything that happened.
    pub hash: u64,
    /// Steps of the engine.
    pub steps: u64,
    /// Checks started.
    pub checks: u64,
    /// Updates written.
    pub writes: u64,
    /// Commits that landed.
    pub commits: u64,
    /// Faults injected, by class.
    pub injected: BTreeMap<&'static str, u64>,
    /// What did not hold.
    pub verdict: Result<(), Failure>,
    /// The last lines.
    pub trace: Trace,
}

/// Why a run failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The exit code.
    pub code: ExitCode,
    /// The invariant.
    pub violation: Violation,
    /// When it was found.
    pub at: Time,
    /// What the core says of the subject.
    pub explanation: String,
}

/// Runs the plan that follows from `options`.
pub fn run(options: &Options) -> Report {
    guarded(options, || run_plan(options, Plan::generate(options)))
}

/// S20: a panic of the core is a verdict.
pub(crate) fn guarded(options: &Options, run: impl FnOnce() -> Report) -> Report {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let detail = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("a panic without text");
        let violation = Violation::new("S20", "core", detail);
        Report::without_run(options, ExitCode::Panic, violation)
    })
}

/// Runs `options` twice and compares (D1).
pub fn run_twice(options: &Options) -> Report {
    let mut first = run(options);
    let second = run(options);
    compare(&mut first, &second);
    first
}

/// D1: two runs of one plan are equal.
pub(crate) fn compare(first: &mut Report, second: &Report) {
    if let Some(lines) = first.trace.first_difference(&second.trace)
        && first.verdict.is_ok()
    {
        first.verdict = Err(Failure {
            code: ExitCode::Determinism,
            violation: Violation::new("D1", "run", format!("the traces part in lines {lines:?}")),
            at: Time::ZERO,
            explanation: String::new(),
        });
    }
}

fn run_plan(options: &Options, plan: Plan) -> Report {
    let config = match settings::config(options, &plan) {
        Ok(config) => config,
        Err(detail) => {
            let violation = Violation::new("harness", "settings", detail);
            return Report::without_run(options, ExitCode::Harness, violation);
        }
    };
    let mut engine = Engine::new(options.clone(), plan, config);
    let names: Vec<String> = (engine.world.alive.iter())
        .map(|app| engine.world.apps[*app].name.clone())
        .collect();
    for name in names {
        engine
            .observers
            .liveness
            .expect(Time::ZERO, AppKey::new(NAMESPACE, name));
    }
    let verdict = phases(&mut engine).map_err(|violation| fail(&engine, violation));
    report(&mut engine, verdict)
}

/// The report of a run that has ended.
pub(crate) fn report(engine: &mut Engine, verdict: Result<(), Failure>) -> Report {
    Report {
        options: engine.options.clone(),
        hash: engine.trace.hash(),
        steps: engine.steps,
        checks: engine.observers.liveness.checks,
        writes: engine.observers.ledger.writes,
        commits: engine.observers.commits.landed,
        injected: std::mem::take(&mut engine.injected),
        verdict,
        trace: std::mem::take(&mut engine.trace),
    }
}

/// Safety under load, healing, liveness, teardown (`simulation.md` 3.4).
fn phases(engine: &mut Engine) -> Result<(), Violation> {
    let options = engine.options.clone();
    let steps_max = 5_000_000 + u64::from(options.apps) * options.horizon.as_secs() * 4;
    let load_end = Time::ZERO.after(options.horizon);
    engine.run_until(load_end, steps_max)?;
    engine.heal();
    // Registries may be closed for as long as their longest pause, and the slowest operation under
    // way ends by its own deadline.
    let settle = options.interval * 4 + Duration::from_mins(30);
    let quiet_from = load_end.after(settle);
    engine.run_until(quiet_from, steps_max)?;
    let claims_liveness = options.faults.lost == 0;
    engine.explain_all()?;
    if claims_liveness {
        if all_were_checked(&options, settle) {
            engine.observers.ledger.settled(&engine.world)?;
        }
        engine.observers.liveness.quiet = crate::checks::Quiet::default();
        let quiet = options.interval * 3;
        engine.run_until(quiet_from.after(quiet), steps_max)?;
        engine.observers.liveness.quiescence(quiet)?;
        // Under a cap per repository, a pass asks for a few of them only.
        if all_were_checked(&options, settle) && options.per_repo_cap == 0 {
            let used = engine.world.used_hosts();
            let used = used.iter().map(String::as_str);
            let requests = &engine.observers.requests;
            requests.recovered(quiet_from, engine.now(), used)?;
        }
    }
    engine.observers.liveness.herd()?;
    // A registry that wants to be left alone for long is remembered for so long.
    let forgets_all = !options.registry_faults.has("429-huge");
    teardown(engine, steps_max, claims_liveness && forgets_all)?;
    let could_write = engine.observers.ledger.could_write(options.apps);
    if options.profile == Profile::Faultless && could_write && engine.observers.ledger.writes == 0 {
        let detail = "an update was possible and none was published";
        return Err(Violation::new("L4", "run", detail));
    }
    Ok(())
}

/// Deletes everything; a core without applications is as it was at the start.
pub(crate) fn teardown(
    engine: &mut Engine,
    steps_max: u64,
    claims_liveness: bool,
) -> Result<(), Violation> {
    engine.delete_all();
    let end = engine.now().after(Duration::from_mins(15));
    engine.run_until(end, steps_max)?;
    if claims_liveness {
        let left = engine.core.stats();
        let fresh = engine.fresh_core().footprint();
        let held = engine.core.footprint();
        // Queues keep the room that they once needed; all else is as it was.
        let is_empty = (held.applications, held.listings, held.registry)
            == (fresh.applications, fresh.listings, fresh.registry);
        if left.applications != 0 || left.repositories != 0 || left.operations != 0 || !is_empty {
            return Err(Violation::new(
                "S17",
                "core",
                format!("after the teardown: {left:?}, {held:?}, at the start {fresh:?}"),
            ));
        }
    }
    Ok(())
}

/// True when the per-repository cap let everyone have a check while the run settled.
fn all_were_checked(options: &Options, settle: Duration) -> bool {
    // Who was told to come back in eleven days is still waiting; the hour that is believed is over sooner.
    if options.registry_faults.has("429-huge") {
        return false;
    }
    match options.per_repo_cap {
        0 => true,
        cap => options.interval * options.apps.div_ceil(cap) < settle,
    }
}

pub(crate) fn fail(engine: &Engine, violation: Violation) -> Failure {
    let code = if violation.is_liveness() {
        ExitCode::Liveness
    } else {
        ExitCode::Safety
    };
    let subject = violation
        .subject
        .rsplit('/')
        .next()
        .unwrap_or_default()
        .to_owned();
    let explanation = engine
        .core
        .explain(&AppKey::new(NAMESPACE, subject))
        .map(|explanation| format!("{explanation:#?}"))
        .unwrap_or_default();
    Failure {
        code,
        violation,
        at: engine.now(),
        explanation,
    }
}

impl Report {
    /// The report of a run of which nothing is left but why it failed.
    fn without_run(options: &Options, code: ExitCode, violation: Violation) -> Self {
        Self {
            options: options.clone(),
            hash: 0,
            steps: 0,
            checks: 0,
            writes: 0,
            commits: 0,
            injected: BTreeMap::new(),
            verdict: Err(Failure {
                code,
                violation,
                at: Time::ZERO,
                explanation: String::new(),
            }),
            trace: Trace::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_verdict_with_its_text() {
        let options = Options::quiet(1);
        let report = guarded(&options, || panic!("the core broke"));
        let failure = report.verdict.expect_err("a panic is no success");
        assert_eq!(failure.code, ExitCode::Panic);
        assert_eq!(failure.violation.to_string(), "S20 (core): the core broke");
    }
}
