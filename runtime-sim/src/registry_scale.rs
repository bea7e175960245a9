//! How much a fleet asks of its registries, by strategy and kind, beside what the old scheme asks.

use std::io;

use serde_json::{Value, json};

use crate::fleet::{Fleet, FleetSize};
use crate::scale::FLEET;
use crate::traffic::{Registries, Traffic, reference};
use crate::workload::ImagePolicy;
use crate::world::{PAGE_TAGS, PAGE_TAGS_MAX, TOKEN_SECS, wants_tokens};

/// Intervals until everything is written, dates are known, and what was asked at the start has been
/// asked again.
const SETTLING_INTERVALS: u32 = 90;
/// Intervals over which the steady state is counted.
const MEASURED_INTERVALS: u32 = 30;
/// Intervals until dates of tags that stay where they are are asked for as seldom as they ever are: the time
/// doubles from an hour to a day.
const DATED_INTERVALS: u32 = 48 * 60;
/// A day: what was read together is still asked for in waves.
const DATED_MEASURED_INTERVALS: u32 = 24 * 60;
/// By how much smaller the fleet is that runs so long; it has as much traffic per repository.
const DATED_FLEET_PART: u32 = 20;
/// Our part of the old scheme's requests that is aimed at in steady state.
const TIMES_FEWER: u64 = 10;

/// The traffic of one strategy.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The fleet, with its strategy.
    pub size: FleetSize,
    /// How many intervals it ran before it was measured.
    pub settling: u32,
    /// In the first interval.
    pub first: Traffic,
    /// Of all measured intervals.
    pub steady: Traffic,
    /// How many these are.
    pub n_intervals: u64,
    /// The old scheme in its first interval.
    pub reference_first: Traffic,
    /// The old scheme in one later interval.
    pub reference_steady: Traffic,
}

/// Counts for the fleet of [`crate::scale`], under each strategy; and for a smaller one under
/// `newest-build` for as long as it takes until the dates are known to be steady.
///
/// # Errors
/// When the core refuses the settings.
pub fn measure() -> io::Result<Vec<Row>> {
    let of = |policy| FleetSize {
        policy: Some(policy),
        ..FLEET
    };
    let dated = FleetSize {
        applications: FLEET.applications / DATED_FLEET_PART,
        repositories: FLEET.repositories / DATED_FLEET_PART,
        sharing: FLEET.sharing / DATED_FLEET_PART,
        ..of(ImagePolicy::NewestBuild)
    };
    [
        (of(ImagePolicy::Any), SETTLING_INTERVALS, MEASURED_INTERVALS),
        (
            of(ImagePolicy::NewestBuild),
            SETTLING_INTERVALS,
            MEASURED_INTERVALS,
        ),
        (dated, DATED_INTERVALS, DATED_MEASURED_INTERVALS),
        (
            of(ImagePolicy::Digest),
            SETTLING_INTERVALS,
            MEASURED_INTERVALS,
        ),
    ]
    .into_iter()
    .map(|(size, settling, measured)| measure_fleet(size, settling, measured))
    .collect()
}

/// Counts for a fleet whose policy is set.
///
/// # Errors
/// When the core refuses the settings.
pub fn measure_fleet(size: FleetSize, settling: u32, measured: u32) -> io::Result<Row> {
    let mut fleet = Fleet::new(size).map_err(io::Error::other)?;
    fleet.run(size.interval);
    let first = fleet.traffic();
    fleet.run(size.interval * settling);
    let before = fleet.traffic();
    fleet.run(size.interval * measured);
    let tokened = (0..size.repositories).filter(|idx| wants_tokens(fleet.registry_of(*idx)));
    let registries = Registries {
        page_tags: PAGE_TAGS as u64,
        token_secs: TOKEN_SECS,
        tokened: tokened.count() as u64,
    };
    Ok(Row {
        size,
        settling,
        first,
        steady: fleet.traffic() - before,
        n_intervals: u64::from(measured),
        reference_first: reference(size, registries, true),
        reference_steady: reference(size, registries, false),
    })
}

impl Row {
    /// How many times fewer requests than the old scheme's are sent in steady state; in tenths.
    pub fn times_fewer_x10(&self) -> u64 {
        let theirs = self.reference_steady.total() * self.n_intervals;
        theirs * 10 / self.steady.total().max(1)
    }

    fn policy(&self) -> ImagePolicy {
        self.size.policy.unwrap_or(ImagePolicy::Any)
    }

    /// True when the fleet has come to its steady state.
    pub fn is_settled(&self) -> bool {
        self.policy() != ImagePolicy::NewestBuild || self.settling >= DATED_INTERVALS
    }

    /// True when the aim is reached; it is one for the steady state.
    pub fn is_within_bounds(&self) -> bool {
        !self.is_settled() || self.times_fewer_x10() >= TIMES_FEWER * 10
    }

    fn to_json(self) -> Value {
        let object = |traffic: Traffic, intervals: u64| {
            let pairs = traffic.kinds().into_iter().map(|(name, n)| {
                let n = n.div_ceil(intervals.max(1));
                (name.to_owned(), json!(n))
            });
            Value::Object(pairs.collect())
        };
        json!({
            "strategy": self.policy().strategy(),
            "applications": self.size.applications,
            "repositories": self.size.repositories,
            "settled_after_s": self.size.interval.as_secs() * u64::from(self.settling),
            "is_settled": self.is_settled(),
            "first": object(self.first, 1),
            "steady": object(self.steady, self.n_intervals),
            "reference_first": object(self.reference_first, 1),
            "reference_steady": object(self.reference_steady, 1),
            "times_fewer_x10": self.times_fewer_x10(),
        })
    }
}

/// Writes a table, or one JSON array.
///
/// # Errors
/// What `out` reports.
pub fn write(out: &mut impl io::Write, rows: &[Row], is_json: bool) -> io::Result<()> {
    if is_json {
        let array: Vec<Value> = rows.iter().map(|row| row.to_json()).collect();
        return writeln!(out, "{}", Value::Array(array));
    }
    writeln!(
        out,
        "requests to registries per interval of {} s, for repositories of {} tags in pages of {} or, where \
         asked for, up to {}",
        FLEET.interval.as_secs(),
        FLEET.tags,
        PAGE_TAGS,
        PAGE_TAGS_MAX,
    )?;
    for row in rows {
        let minutes = row.size.interval.as_secs() * u64::from(row.settling) / 60;
        writeln!(
            out,
            "\n{} applications, {} repositories; mean of {} intervals after {} h {} min",
            row.size.applications,
            row.size.repositories,
            row.n_intervals,
            minutes / 60,
            minutes % 60,
        )?;
        writeln!(
            out,
            "{:<14} {:>12} {:>12} {:>14} {:>14}",
            row.policy().strategy(),
            "first",
            if row.is_settled() { "steady" } else { "then" },
            "theirs, first",
            "theirs, steady"
        )?;
        let lines = [
            row.first,
            row.steady,
            row.reference_first,
            row.reference_steady,
        ]
        .map(|traffic| traffic.kinds().map(|(_, n)| n));
        let names = row.first.kinds().map(|(name, _)| name);
        for (at, name) in names.into_iter().enumerate() {
            let [first, steady, their_first, their_steady] = lines.map(|line| line[at]);
            let steady = per_interval(steady, row.n_intervals);
            writeln!(
                out,
                "  {name:<12} {first:>12} {steady:>12} {their_first:>14} {their_steady:>14}"
            )?;
        }
        let times = row.times_fewer_x10();
        writeln!(
            out,
            "  {:<12} {:>12} {:>12} {:>14} {:>14}   {}.{} times fewer",
            "all",
            row.first.total(),
            per_interval(row.steady.total(), row.n_intervals),
            row.reference_first.total(),
            row.reference_steady.total(),
            times / 10,
            times % 10,
        )?;
    }
    Ok(())
}

/// A mean with one digit behind the point.
fn per_interval(n: u64, intervals: u64) -> String {
    let tenths = n * 10 / intervals.max(1);
    format!("{}.{}", tenths / 10, tenths % 10)
}
