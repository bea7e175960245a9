//! The fleet as figures: what ten thousand applications cost the core.

use std::io;
use std::time::Duration;

use serde_json::json;

use crate::fleet::{Fleet, FleetSize};

/// The fleet that is measured.
pub const FLEET: FleetSize = FleetSize {
    applications: 10_000,
    repositories: 2_000,
    tags: 200,
    sharing: 500,
    interval: Duration::from_mins(1),
    policy: None,
};
/// Intervals until everything is written and synced.
const SETTLING_INTERVALS: u32 = 4;
/// Intervals that are measured; the median counts.
const MEASURED_INTERVALS: usize = 5;

const LISTINGS_PER_INTERVAL_MAX: u64 = 2_000;
const BYTES_PER_APPLICATION_MAX: usize = 2_000;
const BYTES_LISTINGS_MAX: usize = 10_000_000;

/// What was measured.
#[derive(Clone, Debug)]
pub struct Figures {
    /// Applications.
    pub applications: u32,
    /// Repositories.
    pub repositories: u32,
    /// Listings per interval, in the busiest of the measured ones.
    pub listings_per_interval: u64,
    /// Time inside the core per interval, median.
    pub core_cpu: Duration,
    /// Bytes of state per application, listings left out.
    pub bytes_per_application: usize,
    /// Of these, bytes of series of metrics.
    pub metrics_bytes_per_application: usize,
    /// Bytes of the packed listings.
    pub bytes_listings: usize,
    /// Bytes of all state.
    pub bytes_total: usize,
    /// Listings that one pushed tag cost.
    pub fanout_listings: u64,
    /// From the listing that had it to the last patch, in virtual time.
    pub fanout: Duration,
    /// Applications that were patched because of it.
    pub fanout_patches: u64,
}

/// Measures [`FLEET`].
///
/// # Errors
/// When the core refuses the settings.
pub fn measure() -> io::Result<Figures> {
    measure_fleet(FLEET)
}

/// Measures a fleet in its steady state, then pushes one tag that many use.
///
/// # Errors
/// When the core refuses the settings.
pub fn measure_fleet(size: FleetSize) -> io::Result<Figures> {
    let mut fleet = Fleet::new(size).map_err(io::Error::other)?;
    fleet.run(size.interval * SETTLING_INTERVALS);
    let mut listings_max = 0;
    let mut cpu = Vec::with_capacity(MEASURED_INTERVALS);
    for _ in 0..MEASURED_INTERVALS {
        let before = fleet.core.stats().listings;
        cpu.push(fleet.run(size.interval));
        listings_max = listings_max.max(fleet.core.stats().listings - before);
    }
    cpu.sort_unstable();
    let footprint = fleet.core.footprint();
    let applications = usize::try_from(size.applications.max(1)).map_err(io::Error::other)?;
    let fan_out = fleet.fan_out();
    Ok(Figures {
        applications: size.applications,
        repositories: size.repositories,
        listings_per_interval: listings_max,
        core_cpu: cpu[MEASURED_INTERVALS / 2],
        bytes_per_application: (footprint.total() - footprint.listings) / applications,
        metrics_bytes_per_application: footprint.metrics / applications,
        bytes_listings: footprint.listings,
        bytes_total: footprint.total(),
        fanout_listings: fan_out.listings,
        fanout: fan_out.elapsed,
        fanout_patches: fan_out.patches,
    })
}

impl Figures {
    /// True when every bound of the specification of the fleet holds.
    pub fn is_within_bounds(&self) -> bool {
        self.listings_per_interval <= LISTINGS_PER_INTERVAL_MAX
            && self.bytes_per_application <= BYTES_PER_APPLICATION_MAX
            && self.bytes_listings <= BYTES_LISTINGS_MAX
            && self.fanout_listings == 1
            && self.fanout_patches == u64::from(FLEET.sharing)
    }

    /// Writes a table, or one JSON object.
    ///
    /// # Errors
    /// What `out` reports.
    pub fn write(&self, out: &mut impl io::Write, is_json: bool) -> io::Result<()> {
        let rows = [
            ("applications", json!(self.applications), String::new()),
            ("repositories", json!(self.repositories), String::new()),
            (
                "listings_per_interval",
                json!(self.listings_per_interval),
                format!("at most {LISTINGS_PER_INTERVAL_MAX}"),
            ),
            (
                "core_cpu_ms_per_interval",
                json!(millis(self.core_cpu)),
                format!("of {} ms, median", FLEET.interval.as_millis()),
            ),
            (
                "core_bytes_per_application",
                json!(self.bytes_per_application),
                format!("at most {BYTES_PER_APPLICATION_MAX}"),
            ),
            (
                "metrics_bytes_per_application",
                json!(self.metrics_bytes_per_application),
                "of these".to_owned(),
            ),
            (
                "core_bytes_listings",
                json!(self.bytes_listings),
                format!("at most {BYTES_LISTINGS_MAX}"),
            ),
            ("core_bytes_total", json!(self.bytes_total), String::new()),
            (
                "fanout_listings",
                json!(self.fanout_listings),
                "1".to_owned(),
            ),
            (
                "fanout_virtual_ms",
                json!(millis(self.fanout)),
                format!("{} patches", self.fanout_patches),
            ),
        ];
        if is_json {
            let pairs = rows
                .into_iter()
                .map(|(name, value, _)| (name.to_owned(), value));
            let object: serde_json::Map<_, _> = pairs.collect();
            return writeln!(out, "{}", serde_json::Value::Object(object));
        }
        for (name, value, note) in rows {
            let line = format!("{name:<30} {value:>10}  {note}");
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// Whole milliseconds; below ten of them one digit more.
fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10_000.0).round() / 10.0
}
