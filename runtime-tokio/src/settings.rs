//! From what the user asked for to the settings of core and adapters.

use std::time::Duration;

use image_updater_core::app::LabelSelector;
use image_updater_core::config::{Config, Settings};
use image_updater_core::git::pack::PackLimits;
use image_updater_core::git::{Identity, Limits};
use image_updater_core::image::Platform;
use image_updater_core::publish::PublishSettings;
use image_updater_core::registry::backoff::Backoff;
use image_updater_core::registry::{EndpointSettings, RegistrySettings};
use image_updater_core::schedule::{self, Concurrency, ScheduleSettings};
use image_updater_core::writeback::message::MessageTemplate;

use crate::args::{
    CommitSettings, Environment, GitVariables, Mode, RegistryVariables, RunSettings, Schedule,
};
use crate::git::{GitSettings, Signer};
use crate::http::{HttpSettings, Proxies};
use crate::kube::WatchScope;
use crate::registries::RegistriesFile;
use crate::{template, version};

/// The longest pause between two attempts where no limit is set.
const PAUSE_MAX: Duration = Duration::from_hours(24);

/// Everything that follows from the command line, the environment and `registries.conf`.
#[derive(Debug)]
pub struct Resolved {
    /// For the core, once the namespace of Argo CD is known.
    pub core: CoreSettings,
    /// For the registry client.
    pub http: HttpSettings,
    /// For the Git client.
    pub git: GitSettings,
    /// Bounds of a session with a Git server.
    pub git_limits: Limits,
    /// Signs commits.
    pub signer: Signer,
    /// For the watch.
    pub scope: WatchScope,
    /// `registries.conf`, to be watched for changes; `None` when there is none to be watched.
    pub registries: Option<RegistriesFile>,
    /// How many registries are configured; `None` without a file.
    pub registries_loaded: Option<usize>,
    /// What the user should know though it stops nothing.
    pub warnings: Vec<String>,
}

/// Settings of the core that were found to be right.
#[derive(Debug)]
pub struct CoreSettings(Settings);

impl CoreSettings {
    /// The settings for a controller in `namespace`, which nothing else depends on.
    ///
    /// # Panics
    /// Never: these settings were found to be right, and the namespace is not among what is checked.
    pub fn into_config(mut self, namespace: &str) -> Config {
        if let Some(publish) = &mut self.0.publish {
            publish.controller_namespace = namespace.into();
        }
        Config::new(self.0).expect("the settings were checked")
    }
}

/// What environment variables say that are no flags.
#[derive(Debug)]
pub struct RunVariables {
    /// Of registries.
    pub registry: RegistryVariables,
    /// Of Git.
    pub git: GitVariables,
    /// How often a write through the Kubernetes API is repeated.
    pub write_retries_max: u32,
    /// All of them: Argo CD's folders stand there.
    pub environment: Environment,
}

/// Works out all settings, or every reason why they cannot be worked with.
pub fn resolve(
    settings: &RunSettings,
    run_variables: &RunVariables,
) -> Result<Resolved, Vec<String>> {
    let variables = &run_variables.registry;
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
    core.patch.attempts_max = run_variables.write_retries_max.saturating_add(1);
    core.fails_on_port_exhaustion = variables.fails_on_port_exhaustion;
    core.run_deadline = settings.application_deadline;
    core.shutdown_grace = settings.shutdown_timeout;
    core.publish = Some(publish_settings(
        &settings.commit,
        &run_variables.git,
        commit_message,
    ));
    if let Err(error) = Config::new(core.clone()) {
        problems.extend(error.problems);
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let namespace = &settings.selection.namespace;
    let scope = WatchScope {
        namespace: Some(namespace.clone()).filter(|namespace| !namespace.is_empty()),
        label_selector: selector.clone(),
        interval,
    };
    let http = http_settings(variables, &mut warnings);
    let git_limits = limits(&run_variables.git);
    Ok(Resolved {
        core: CoreSettings(core),
        git: GitSettings::of(&run_variables.git, &run_variables.environment, &http),
        git_limits,
        signer: Signer::of(settings.commit.signing_method, &settings.commit.signing_key),
        http,
        scope,
        registries,
        registries_loaded,
        warnings,
    })
}

fn publish_settings(
    commit: &CommitSettings,
    variables: &GitVariables,
    template: MessageTemplate,
) -> PublishSettings {
    // The namespace follows when the cluster has been asked.
    let defaults = PublishSettings::new("");
    PublishSettings {
        is_batched: variables.is_batching,
        batch_trigger: usize::try_from(variables.batch_max).unwrap_or(usize::MAX),
        flush_interval: variables.batch_flush_interval,
        attempts_max: variables.push_attempts_max,
        backoff_base: variables.push_backoff_base,
        backoff_factor: variables.push_backoff_factor,
        backoff_max: if variables.push_backoff_max.is_zero() {
            PAUSE_MAX
        } else {
            variables.push_backoff_max
        },
        timeout: variables.exchange_timeout,
        author: Identity {
            name: commit.user.clone(),
            email: commit.email.clone(),
        },
        is_signed: !commit.signing_key.is_empty(),
        is_signed_off: commit.has_sign_off,
        template,
        ..defaults
    }
}

fn limits(variables: &GitVariables) -> Limits {
    let pack_bytes_max = usize::try_from(variables.pack_bytes_max).unwrap_or(usize::MAX);
    Limits {
        pack: PackLimits::new(pack_bytes_max),
        ..Limits::default()
    }
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
