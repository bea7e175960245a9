//! The settings of `run` (`ops.md` 2).

use std::time::Duration;

use image_updater_core::duration::GoDuration;

use super::error::ArgsError;
use super::later::{self, LaterPart};
use super::settings::{
    ArgocdSettings, CommitSettings, KubernetesSettings, LogSettings, Reader, SelectionSettings,
    WebhookServerSettings,
};

/// Everything that `run` is told, validated.
///
/// Values stand as given; what `--once` makes of them is in the methods that begin with
/// `effective_`.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct RunSettings {
    /// What is logged.
    pub log: LogSettings,
    /// The cluster.
    pub kubernetes: KubernetesSettings,
    /// The Argo CD API.
    pub argocd: ArgocdSettings,
    /// Which Applications.
    pub selection: SelectionSettings,
    /// Commits.
    pub commit: CommitSettings,
    /// `--enable-webhook`.
    pub is_webhook_enabled: bool,
    /// The webhook server.
    pub webhook: WebhookServerSettings,
    /// `--dry-run`.
    pub is_dry_run: bool,
    /// `--interval`; zero means one pass.
    pub interval: Duration,
    /// `--once`.
    pub is_once: bool,
    /// `--health-port`; 0 means off.
    pub health_port: u16,
    /// `--metrics-port`; 0 means off.
    pub metrics_port: u16,
    /// `--registries-conf-path`; empty means the built-in registries.
    pub registries_conf_path: String,
    /// `--max-concurrency`; 0 means eight per CPU.
    pub max_concurrency: u32,
    /// `--warmup-cache`.
    pub has_warmup: bool,
    /// `--warmup-concurrency`; 0 means eight per CPU.
    pub warmup_concurrency: u32,
    /// `--schedule`.
    pub schedule: Schedule,
    /// `--cooldown`.
    pub cooldown: Duration,
    /// `--per-repo-cap`; 0 means no limit.
    pub per_repo_cap: u32,
    /// `--mode`.
    pub mode: Mode,
    /// `--shutdown-timeout`.
    pub shutdown_timeout: Duration,
    /// `--application-deadline`, never zero.
    pub application_deadline: Duration,
    /// `--jitter`.
    pub has_jitter: bool,
    /// What was set although this build does not have it yet.
    pub later: Vec<LaterPart>,
}

/// How the daemon works through applications.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// All applications, then a pause.
    Cycle,
    /// Each application at its own time.
    Continuous,
}

impl Mode {
    /// The word for settings.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Cycle => "cycle",
            Self::Continuous => "continuous",
        }
    }
}

/// In which order applications are taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Schedule {
    /// As listed.
    Default,
    /// The one that was successful longest ago first.
    Lru,
    /// Those that failed first.
    FailFirst,
}

impl Schedule {
    /// The word for settings.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Lru => "lru",
            Self::FailFirst => "fail-first",
        }
    }
}

impl RunSettings {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, ArgsError> {
        let log = reader.log()?;
        if reader.values.integer("max-concurrency") < 0 {
            let text = "--max-concurrency cannot be negative (0=auto)";
            return Err(ArgsError::Refused(text.to_owned()));
        }
        let modes = [Mode::Cycle, Mode::Continuous].map(|mode| (mode.word(), mode));
        let schedules = [Schedule::Default, Schedule::Lru, Schedule::FailFirst]
            .map(|schedule| (schedule.word(), schedule));
        let application_deadline = reader.span("application-deadline")?;
        if application_deadline.is_zero() {
            return Err(reader.invalid("application-deadline", "it must be greater than zero"));
        }
        Ok(Self {
            log,
            kubernetes: reader.kubernetes(),
            argocd: reader.argocd()?,
            selection: reader.selection(),
            commit: reader.commit()?,
            is_webhook_enabled: reader.values.bool("enable-webhook"),
            webhook: reader.webhook_server()?,
            is_dry_run: reader.values.bool("dry-run"),
            interval: reader.span("interval")?,
            is_once: reader.values.bool("once"),
            health_port: reader.port("health-port")?,
            metrics_port: reader.port("metrics-port")?,
            registries_conf_path: reader.text("registries-conf-path"),
            max_concurrency: reader.count("max-concurrency", "auto")?,
            has_warmup: reader.values.bool("warmup-cache"),
            warmup_concurrency: reader.count("warmup-concurrency", "auto")?,
            schedule: reader.word("schedule", &schedules)?,
            cooldown: reader.span("cooldown")?,
            per_repo_cap: reader.count("per-repo-cap", "unlimited")?,
            mode: reader.word("mode", &modes)?,
            shutdown_timeout: reader.span("shutdown-timeout")?,
            application_deadline,
            has_jitter: reader.values.bool("jitter"),
            later: later::parts_set(reader.values),
        })
    }

    /// The interval that holds: none with `--once`.
    pub const fn effective_interval(&self) -> Duration {
        if self.is_once {
            Duration::ZERO
        } else {
            self.interval
        }
    }

    /// The health port that holds: none with `--once`.
    pub const fn effective_health_port(&self) -> u16 {
        if self.is_once { 0 } else { self.health_port }
    }
}

/// An interval as the start-up line shows it: `once` for zero.
pub fn printable_interval(interval: GoDuration) -> String {
    if interval == GoDuration::ZERO {
        "once".to_owned()
    } else {
        interval.to_string()
    }
}

/// A port as the start-up line shows it: `off` for zero.
pub fn printable_port(port: u16) -> String {
    if port == 0 {
        "off".to_owned()
    } else {
        port.to_string()
    }
}
