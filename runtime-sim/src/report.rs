//! What a run prints: one line that reproduces it, and on failure all that is needed to understand it.

use std::io::{self, Write};

use crate::options::{Options, Profile};
use crate::plan_file;
use crate::run::Report;

/// The line that starts this run again.
pub fn reproduce(options: &Options) -> String {
    let mut line = format!(
        "image-updater-sim run --seed {:#x} --apps {} --hours {}",
        options.seed,
        options.apps,
        options.horizon.as_secs() / 3600
    );
    match options.profile {
        Profile::Faultless => line.push_str(" --faultless"),
        Profile::Single => line.push_str(" --single"),
        Profile::Swarm => {}
    }
    if let Some(planted) = options.planted {
        line.push_str(" --planted ");
        line.push_str(planted.invariant());
    }
    line
}

/// Writes the report of one run.
pub fn write(out: &mut impl Write, report: &Report) -> io::Result<()> {
    let options = &report.options;
    let verdict = match &report.verdict {
        Ok(()) => "ok".to_owned(),
        Err(failure) => failure.violation.id.to_owned(),
    };
    writeln!(
        out,
        "{verdict:<4} {} options {:#018x} hash {:#018x} steps {} checks {} writes {} commits {} faults {}",
        reproduce(options),
        options.hash(),
        report.hash,
        report.steps,
        report.checks,
        report.writes,
        report.commits,
        report.injected.values().sum::<u64>(),
    )?;
    let Err(failure) = &report.verdict else {
        return Ok(());
    };
    writeln!(
        out,
        "\nFAILED at {:?}, step {}: {}",
        failure.at, report.steps, failure.violation
    )?;
    writeln!(
        out,
        "\nthe plan, for `replay`\n{}",
        plan_file::to_text(options)
    )?;
    writeln!(out, "\nfaults injected {:?}", report.injected)?;
    writeln!(out, "\nthe last lines: time, kind, what")?;
    for line in report.trace.kept() {
        writeln!(out, "{line}")?;
    }
    if !failure.explanation.is_empty() {
        writeln!(out, "\nwhat the core says\n{}", failure.explanation)?;
    }
    writeln!(
        out,
        "\nreproduce with\n  cargo run --release -p image-updater-sim -- {}",
        reproduce(options).trim_start_matches("image-updater-sim ")
    )
}
