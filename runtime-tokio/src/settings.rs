//! From what the user asked for to the settings of core and adapters.

use std::time::Duration;

use image_updater_core::app::LabelSelector;
use image_updater_core::config::{Config, Settings};
use image_updater_core::image::Platform;
use image_updater_core::registry::backoff::Backoff;
use image_updater_core::registry::{EndpointSettings, RegistrySettings};
use image_updater_core::schedule::{self, Concurrency, ScheduleSettings};
use image_updater_core::writeback::message::MessageTemplate;

use crate::args::{Mode, RegistryVariables, RunSettings, Schedule};
use crate::http::{HttpSettings, Proxies};
use crate::kube::WatchScope;
use crate::registries::RegistriesFile;
use crate::{template, version};

/// Everything that follows from the command line, the environment and `registries.conf`.
#[derive(Debug)]
pub struct Resolved {
    /// For the core.
    pub config: Config,
    /// For the registry client.
    pub http: HttpSettings,
    /// For the messages of commits.
    pub commit_message: MessageTemplate,
    /// For the watch.
    pub scope: WatchScope,
    /// `registries.conf`, to be watched for changes; `None` when there is none to be watched.
    pub registries: Option<RegistriesFile>,
    /// How many registries are configured; `None` without a file.
    pub registries_loaded: Option<usize>,
    /// What the user should know though it stops nothing.
    pub warnings: Vec<String>,
}

/// Works out all settings, or every reason why they cannot be worked with.
pub fn resolve(
    settings: &RunSettings,
    variables: &RegistryVariables,
    write_retries_max: u32,
) -> Result<Resolved, Vec<String>> {
    let mut problems = Vec::new();
    let mut warnings = Vec::new();
    let commit_message = match template::load(&settings.commit.message_path) {
        Ok((template, warning)) => {
            warnings.extend(warning);
            template
        }
        Err(error) => {
            problems.push(error.to_string());
            MessageTemplate::default()
        }
    };
    let mut registries = RegistriesFile::new(&settings.registries_conf_path);
    let endpoints = match registries.as_mut().map(RegistriesFile::read_at_start) {
        None => Vec::new(),
        Some(Ok(news)) => {
            warnings.extend(news.warnings);
            news.endpoints
        }
        Some(Err(found)) => {
            problems.extend(found);
            Vec::new()
        }
    };
    let is_there = registries.as_ref().is_some_and(RegistriesFile::is_there);
    let registries_loaded = is_there.then_some(endpoints.len());
    let selector = &settings.selection.label_selector;
    if let Err(error) = LabelSelector::parse(selector) {
        problems.push(format!("--match-application-label: {selector:?}: {error}"));
    }
    let interval = settings.effective_interval();
    let registry = registry_settings(endpoints, interval, variables);
    let mut core = Settings::new(schedule_settings(settings, &mut problems), registry);
    core.name_patterns
        .clone_from(&settings.selection.name_patterns);
    core.runtime_platform = runtime_platform();
    core.dry_run = settings.is_dry_run;
    core.patch.attempts_max = write_retries_max.saturating_add(1);
    core.fails_on_port_exhaustion = variables.fails_on_port_exhaustion;
    core.run_deadline = settings.application_deadline;
    core.shutdown_grace = settings.shutdown_timeout;
    let config = match Config::new(core) {
        Ok(config) => config,
        Err(error) => {
            problems.extend(error.problems);
            return Err(problems);
        }
    };
    if !problems.is_empty() {
        return Err(problems);
    }
    let namespace = &settings.selection.namespace;
    let scope = WatchScope {
        namespace: Some(namespace.clone()).filter(|namespace| !namespace.is_empty()),
        label_selector: selector.clone(),
        interval,
    };
    Ok(Resolved {
        config,
        commit_message,
        http: http_settings(variables, &mut warnings),
        scope,
        registries,
        registries_loaded,
        warnings,
    })
}

fn schedule_settings(settings: &RunSettings, problems: &mut Vec<String>) -> ScheduleSettings {
    let mode = match settings.mode {
        Mode::Cycle => schedule::Mode::Cycle,
        Mode::Continuous => schedule::Mode::Continuous,
    };
    let mut schedule = ScheduleSettings::new(mode, settings.effective_interval());
    schedule.policy = match settings.schedule {
        Schedule::Default => schedule::Policy::Default,
        Schedule::Lru => schedule::Policy::Lru,
        Schedule::FailFirst => schedule::Policy::FailFirst,
    };
    schedule.cooldown = settings.cooldown;
    schedule.per_repo_cap = settings.per_repo_cap;
    let mut concurrency = |number: u32| {
        Concurrency::try_from(i64::from(number))
            .map_err(|error| problems.push(error.to_string()))
            .unwrap_or_default()
    };
    schedule.concurrency_max = concurrency(settings.max_concurrency);
    schedule.warmup_concurrency_max = concurrency(settings.warmup_concurrency);
    schedule.cpus = std::thread::available_parallelism()
        .map_or(1, |cpus| u32::try_from(cpus.get()).unwrap_or(u32::MAX));
    schedule.warmup = settings.has_warmup;
    if !settings.has_jitter {
        schedule.start_spread = Duration::ZERO;
        schedule.jitter_percent = 0;
    }
    schedule
}

/// The settings of the registry room for these endpoints; an interval of zero means once.
pub(crate) fn registry_settings(
    endpoints: Vec<EndpointSettings>,
    interval: Duration,
    variables: &RegistryVariables,
) -> RegistrySettings {
    RegistrySettings {
        endpoints,
        interval,
        once: interval.is_zero(),
        tag_attempts: variables.tag_attempts_max,
        tag_timeout: variables.tag_timeout,
        manifest_attempts: variables.manifest_attempts_max,
        manifest_timeout: variables.manifest_timeout,
        token_attempts: variables.token_attempts_max,
        token_backoff: Backoff {
            base: variables.token_backoff_base,
            sleep_max: variables.token_backoff_max,
        },
        port_exhaustion_window: variables.port_exhaustion_window,
        port_exhaustion_threshold: variables.port_exhaustion_threshold,
        ..RegistrySettings::default()
    }
}

/// The settings of the registry client; a proxy that cannot be used is a warning.
pub(crate) fn http_settings(
    variables: &RegistryVariables,
    warnings: &mut Vec<String>,
) -> HttpSettings {
    let count = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    let unless_zero = |time: Duration| Some(time).filter(|time| !time.is_zero());
    let (proxies, complaints) = Proxies::of_process();
    warnings.extend(complaints);
    HttpSettings {
        response_header_timeout: variables.response_header_timeout,
        tls_handshake_timeout: variables.tls_handshake_timeout,
        idle_timeout: unless_zero(variables.idle_connection_timeout),
        connections_per_host_max: count(variables.connections_per_host_max),
        idle_per_host_max: count(variables.idle_connections_per_host_max),
        idle_max: count(variables.idle_connections_max),
        janitor_interval: unless_zero(variables.janitor_interval),
        proxies,
        user_agent: version::user_agent(),
        ..HttpSettings::default()
    }
}

/// The platform that we run on, with Go's names (`images.md` 9.4).
fn runtime_platform() -> Platform {
    let os = match std::env::consts::OS {
        "macos" => "darwin",
        other => other,
    };
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "powerpc64" => "ppc64le",
        "loongarch64" => "loong64",
        other => other,
    };
    Platform::new(os, arch)
}
