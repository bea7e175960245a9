//! Runs a script and judges its expectations.

use std::io::{self, Write};
use std::time::Duration;

use super::expectation::Seen;
use super::{Expectation, Script, Wanted};
use crate::checks::Violation;
use crate::engine::Engine;
use crate::run::{self, ExitCode, Failure};
use crate::settings;
use crate::workload::Plan;
use crate::world::host;

/// Steps after which a script is not going to end.
const STEPS_MAX: u64 = 20_000_000;

/// What came out of a script.
#[derive(Debug)]
pub struct Report {
    /// The run, with its verdict: an expectation that did not hold is a failure too.
    pub run: run::Report,
    /// Each expectation with what was seen instead, if it did not hold.
    pub verdicts: Vec<(String, Option<String>)>,
}

/// Runs a script.
pub fn run(script: &Script) -> Report {
    let mut verdicts = Vec::new();
    let run = run::guarded(&script.options, || {
        let (mut engine, verdict) = play(script, &script.plan, Some(&mut verdicts));
        let failed = verdicts.iter().find(|(_, seen)| seen.is_some());
        let verdict = match (verdict, failed) {
            (Err(violation), _) => Err(run::fail(&engine, violation)),
            (Ok(()), Some((line, seen))) => {
                let seen = seen.clone().unwrap_or_default();
                let violation = Violation::new("expect", line.clone(), format!("there was {seen}"));
                Err(Failure {
                    code: ExitCode::Safety,
                    ..run::fail(&engine, violation)
                })
            }
            (Ok(()), None) => Ok(()),
        };
        run::report(&mut engine, verdict)
    });
    Report { run, verdicts }
}

/// Runs a script twice and compares (D1).
pub fn run_twice(script: &Script) -> Report {
    let mut first = run(script);
    let second = run(script);
    run::compare(&mut first.run, &second.run);
    first
}

/// Writes the report of a script.
///
/// # Errors
/// What `out` reports.
pub fn write(out: &mut impl Write, report: &Report) -> io::Result<()> {
    let run = &report.run;
    for (line, seen) in &report.verdicts {
        match seen {
            None => writeln!(out, "ok    {line}")?,
            Some(seen) => writeln!(out, "NOT   {line}: there was {seen}")?,
        }
    }
    let verdict = run.verdict.as_ref().err();
    writeln!(
        out,
        "{:<5} hash {:#018x} steps {} checks {} writes {} faults {:?}",
        verdict.map_or("ok", |failure| failure.violation.id),
        run.hash,
        run.steps,
        run.checks,
        run.writes,
        run.injected
    )?;
    let Some(failure) = verdict else {
        return Ok(());
    };
    writeln!(out, "\nFAILED at {:?}: {}", failure.at, failure.violation)?;
    writeln!(out, "\nthe last lines: time, kind, what")?;
    for line in run.trace.kept() {
        writeln!(out, "{line}")?;
    }
    writeln!(out, "\nwhat the core says\n{}", failure.explanation)
}

/// Plays `plan`, which is the script's or a part of it; judges expectations when there is where to note
/// them.
fn play(
    script: &Script,
    plan: &Plan,
    verdicts: Option<&mut Vec<(String, Option<String>)>>,
) -> (Engine, Result<(), Violation>) {
    let config = settings::config(&script.options, plan)
        .expect("a script makes settings that the core accepts");
    let mut engine = Engine::new(script.options.clone(), plan.clone(), config);
    engine.observers.tally.is_kept = true;
    let verdict = acts(&mut engine, script, verdicts);
    (engine, verdict)
}

fn acts(
    engine: &mut Engine,
    script: &Script,
    verdicts: Option<&mut Vec<(String, Option<String>)>>,
) -> Result<(), Violation> {
    let Some(verdicts) = verdicts else {
        return engine.run_until(script.end, STEPS_MAX);
    };
    for expectation in &script.expectations {
        let at = expectation.at.unwrap_or(script.end);
        engine.run_until(at, STEPS_MAX)?;
        let seen = judge(engine, script, expectation).err();
        verdicts.push((expectation.to_string(), seen.map(|Seen(seen)| seen)));
    }
    engine.run_until(script.end, STEPS_MAX)?;
    engine.explain_all()?;
    engine.heal();
    // Whatever hangs now ends by its own deadline.
    let end = script.end.after(Duration::from_mins(5));
    engine.run_until(end, STEPS_MAX)?;
    run::teardown(engine, STEPS_MAX, true)
}

fn judge(engine: &Engine, script: &Script, expectation: &Expectation) -> Result<(), Seen> {
    let Wanted::OthersUnchanged(registry) = expectation.wanted else {
        return expectation.wanted.judge(engine);
    };
    let without = script.plan.without_users_of(registry);
    let (other, verdict) = play(script, &without, None);
    verdict.map_err(|violation| Seen(format!("without its users: {violation}")))?;
    let users: Vec<String> = (without.absent.iter())
        .map(|app| script.plan.apps[*app].name.clone())
        .collect();
    if users.is_empty() || users.len() == script.plan.apps.len() {
        return Err(Seen("nobody to compare".to_owned()));
    }
    let (with, without) = (&engine.observers.tally, &other.observers.tally);
    with.isolation(without, &host(registry), &users)
        .map_err(|violation| Seen(violation.to_string()))
}
