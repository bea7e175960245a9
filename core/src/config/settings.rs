//! All settings of a core in one place.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use crate::app::NamePatterns;
use crate::image::Platform;
use crate::metrics::MetricsSettings;
use crate::patch::PatchSettings;
use crate::publish::PublishSettings;
use crate::registry::RegistrySettings;
use crate::schedule::ScheduleSettings;

/// What a driver asks for; [`Config::new`] says whether it can be had.
#[derive(Clone, Debug)]
pub struct Settings {
    /// When applications are checked.
    pub schedule: ScheduleSettings,
    /// Which registries there are, and the bounds of talking to them.
    pub registry: RegistrySettings,
    /// The bounds of patching Applications.
    pub patch: PatchSettings,
    /// Write-back through Git. This is the one switch: without it, applications that ask for Git are decided and
    /// explained, and nothing is written for them.
    pub publish: Option<PublishSettings>,
    /// How finely things are counted.
    pub metrics: MetricsSettings,
    /// `--match-application-name`: glob patterns, any of which must match; none match everything.
    pub name_patterns: Vec<String>,
    /// The platform that images must run on where no annotation names another: with Go's names.
    pub runtime_platform: Platform,
    /// Decides and explains, and writes nothing.
    pub dry_run: bool,
    /// The longest that one run of one application may take (S17).
    pub run_deadline: Duration,
    /// How long a shutdown waits for what is under way (`ops.md` 3.3).
    pub shutdown_grace: Duration,
    /// Applications held at once; those that come later are refused, loudly.
    pub applications_max: usize,
    /// `HEALTH_FAIL_ON_PORT_EXHAUSTION`: a probe fails while local ports are exhausted (`registry.md` 10.3).
    pub fails_on_port_exhaustion: bool,
    /// Events kept for an observer that does not come; the oldest go first.
    pub events_max: usize,
}

impl Settings {
    /// The documented defaults around a schedule and registries.
    pub fn new(schedule: ScheduleSettings, registry: RegistrySettings) -> Self {
        Self {
            schedule,
            registry,
            patch: PatchSettings::default(),
            publish: None,
            metrics: MetricsSettings::default(),
            name_patterns: Vec::new(),
            runtime_platform: Platform::new("linux", "amd64"),
            dry_run: false,
            run_deadline: Duration::from_mins(10),
            shutdown_grace: Duration::from_secs(25),
            applications_max: 100_000,
            fails_on_port_exhaustion: true,
            events_max: 1 << 20,
        }
    }
}

/// Valid settings.
#[derive(Clone, Debug)]
pub struct Config {
    pub(crate) schedule: ScheduleSettings,
    pub(crate) registry: RegistrySettings,
    pub(crate) patch: PatchSettings,
    pub(crate) publish: Option<PublishSettings>,
    pub(crate) metrics: MetricsSettings,
    pub(crate) names: NamePatterns,
    pub(crate) runtime_platform: Platform,
    pub(crate) dry_run: bool,
    pub(crate) run_deadline: Duration,
    pub(crate) shutdown_grace: Duration,
    pub(crate) applications_max: usize,
    pub(crate) fails_on_port_exhaustion: bool,
    pub(crate) events_max: usize,
}

/// Everything that is wrong with some settings, at least one thing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigError {
    /// One sentence each, naming the setting and what is accepted.
    pub problems: Vec<String>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problems.join("; "))
    }
}

impl core::error::Error for ConfigError {}

impl Config {
    /// Validates `settings`; every problem is reported, not only the first.
    pub fn new(settings: Settings) -> Result<Self, ConfigError> {
        let mut problems = Vec::new();
        let names = NamePatterns::parse(settings.name_patterns.iter().map(String::as_str));
        problems.extend(
            names
                .malformed()
                .map(|pattern| format!("--match-application-name: {pattern:?} is no glob pattern")),
        );
        let schedule = settings.schedule.validated().map_err(|errors| {
            problems.extend(errors.0.iter().map(ToString::to_string));
        });
        let registry = settings
            .registry
            .clone()
            .validated()
            .map_err(|found| problems.extend(found));
        for (name, value) in [
            ("run deadline", settings.run_deadline),
            ("shutdown grace", settings.shutdown_grace),
            ("patch timeout", settings.patch.timeout),
        ] {
            if value.is_zero() {
                problems.push(format!("{name}: must be longer than 0s"));
            }
        }
        if settings.patch.in_flight_max == 0 || settings.patch.attempts_max == 0 {
            problems.push("patches: at least one in flight and one attempt are needed".to_string());
        }
        problems.extend(settings.publish.iter().flat_map(PublishSettings::problems));
        if settings.applications_max == 0 {
            problems.push("applications: at least one must be allowed".to_string());
        }
        if settings.events_max == 0 {
            problems.push("events: at least one must be kept".to_string());
        }
        let (Ok(schedule), Ok(registry)) = (schedule, registry) else {
            return Err(ConfigError { problems });
        };
        if !problems.is_empty() {
            return Err(ConfigError { problems });
        }
        Ok(Self {
            schedule,
            registry,
            patch: settings.patch,
            publish: settings.publish,
            metrics: settings.metrics,
            names,
            runtime_platform: settings.runtime_platform,
            dry_run: settings.dry_run,
            run_deadline: settings.run_deadline,
            shutdown_grace: settings.shutdown_grace,
            applications_max: settings.applications_max,
            fails_on_port_exhaustion: settings.fails_on_port_exhaustion,
            events_max: settings.events_max,
        })
    }
}
