//! From the options of a run to the settings of the core: what `main` does with flags in production.

use std::time::Duration;

use image_updater_core::config::{Config, Settings};
use image_updater_core::publish::PublishSettings;
use image_updater_core::registry::{EndpointSettings, RegistrySettings};
use image_updater_core::schedule::{self, Concurrency, Mode, ScheduleSettings};

use crate::options::{Options, Policy};
use crate::workload::{LoginModel, Plan, RegistryModel};
use crate::world::{NAMESPACE, host};

/// The settings of a run, validated.
///
/// # Errors
/// What the core does not accept: then the options are wrong, not the core.
pub fn config(options: &Options, plan: &Plan) -> Result<Config, String> {
    let mode = if options.cycle {
        Mode::Cycle
    } else {
        Mode::Continuous
    };
    let mut schedule = ScheduleSettings::new(mode, options.interval);
    schedule.policy = match options.policy {
        Policy::Default => schedule::Policy::Default,
        Policy::Lru => schedule::Policy::Lru,
        Policy::FailFirst => schedule::Policy::FailFirst,
    };
    schedule.cooldown = options.cooldown;
    schedule.per_repo_cap = options.per_repo_cap;
    schedule.concurrency_max = Concurrency::try_from(i64::from(options.concurrency_max))
        .map_err(|error| error.to_string())?;
    schedule.cpus = 2;
    schedule.warmup = options.warmup;
    let registry = RegistrySettings {
        endpoints: (plan.registries.iter().enumerate())
            .map(|(idx, model)| endpoint(idx, model, &plan.logins))
            .collect(),
        interval: options.interval,
        ..RegistrySettings::default()
    };
    let mut settings = Settings::new(schedule, registry);
    settings.publish = Some(PublishSettings::new(NAMESPACE));
    settings.shutdown_grace = Duration::from_secs(25);
    Config::new(settings).map_err(|error| error.to_string())
}

fn endpoint(idx: usize, model: &RegistryModel, logins: &[LoginModel]) -> EndpointSettings {
    let host = host(idx);
    EndpointSettings {
        api_url: format!("http://{host}"),
        rate_max: model.rate,
        credentials: model.login.map(|login| logins[login].source.clone()),
        ..EndpointSettings::inferred(&host)
    }
}
