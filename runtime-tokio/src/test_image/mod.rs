//! `test IMAGE`: looks one image up and says which tag it would move to, and why (`ops.md` 9).

mod report;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use image_updater_core::credential::{CredentialReference, RegistryPrefix};
use image_updater_core::effect::Effect;
use image_updater_core::event::Event;
use image_updater_core::image::{IgnorePatterns, MatchExpression, Platform, PlatformSet, Strategy};
use image_updater_core::probe::{Probe, Question};
use image_updater_core::{Input, Seed};
use tokio::sync::mpsc;

use crate::args::{RegistryVariables, TestSettings};
use crate::clock::Clock;
use crate::credential::CredentialReader;
use crate::http::redact::one_line;
use crate::http::{HttpClient, install_tls_provider, system_roots};
use crate::kube::ClusterClient;
use crate::registries::read_required_registries;
use crate::run::told_to_end;
use crate::settings::{http_settings, registry_settings};
use crate::spawn::{Answer, Operations, install_panic_hook};
use crate::telemetry::{Field, Log, Narrator, Relay};

/// Most of a library's words that are shown.
const REASON_CHARS_MAX: usize = 500;

/// Looks the image up and reports; the exit status says whether that could be done.
///
/// `warnings` are the remarks of reading the command line, which had no log yet; `print` takes what
/// is written to standard output beside the log.
pub fn run(
    settings: &TestSettings,
    variables: &RegistryVariables,
    warnings: &[String],
    log: Log,
    mut print: impl FnMut(&str),
) -> ExitCode {
    let log = Arc::new(log);
    Relay::new(Arc::clone(&log)).install();
    install_tls_provider();
    install_panic_hook(Arc::clone(&log));
    for warning in warnings {
        log.warn(warning, &[]);
    }
    match look_up(settings, variables, &log) {
        Ok(probe) => report::tell(&probe, settings, &log, print),
        Err(problems) => {
            report::tell_defects(&problems, settings, &mut print);
            for problem in problems {
                log.error(&problem, &[]);
            }
            log.fatal("the image cannot be looked up", &[]);
            ExitCode::FAILURE
        }
    }
}

fn look_up(
    settings: &TestSettings,
    variables: &RegistryVariables,
    log: &Arc<Log>,
) -> Result<Probe, Vec<String>> {
    let question = question(settings, log)?;
    let mut remarks = Vec::new();
    let endpoints = match settings.registries_conf_path.as_str() {
        "" => Vec::new(),
        path => read_required_registries(path, &mut remarks)?,
    };
    for remark in remarks {
        log.warn(&remark, &[]);
    }
    let mut registry = registry_settings(endpoints, Duration::ZERO, variables);
    registry.rate_of_all = settings.is_rate_limit_given.then_some(settings.rate_limit);
    let registry = registry.validated()?;
    let clock = Clock::start();
    let seed = Seed(u64::from(std::process::id()));
    let image = question.image.clone();
    let probe = Probe::new(question, registry, seed, clock.now())
        .map_err(|defect| vec![format!("{image:?} names no image: {defect}")])?;
    log.info("retrieving information about image", &fields(&probe));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| vec![format!("could not start: {error}")])?;
    let mut warnings = Vec::new();
    let http = HttpClient::new(http_settings(variables, &mut warnings), system_roots());
    for warning in warnings {
        log.warn(&warning, &[]);
    }
    let probed = runtime.block_on(async {
        let probed = async {
            let credentials = CredentialReader::new(cluster(settings, log).await);
            drive(probe, &clock, &http, &credentials, log).await
        };
        tokio::select! {
            biased;
            () = told_to_end() => Err(vec!["told to end before the image was looked up".to_owned()]),
            probe = probed => Ok(probe),
        }
    });
    // What is under way is dropped, programs with their groups; what blocks is not waited for.
    runtime.shutdown_background();
    probed
}

/// What the command line asks.
fn question(settings: &TestSettings, log: &Log) -> Result<Question, Vec<String>> {
    let mut problems = Vec::new();
    let allow_tags = MatchExpression::parse(&settings.allow_tags);
    if let Some(fault) = allow_tags.fault() {
        problems.push(format!("--allow-tags {:?}: {fault}", settings.allow_tags));
    }
    let ignore_tags = IgnorePatterns::of(settings.ignore_tags.iter().map(String::as_str))
        .map_err(|error| problems.push(format!("--ignore-tags: {error}")))
        .unwrap_or_default();
    for (pattern, is_well_formed) in ignore_tags.iter() {
        if !is_well_formed {
            let message = format!("--ignore-tags {pattern:?} is no pattern and ignores nothing");
            log.warn(&message, &[]);
        }
    }
    for text in &settings.platforms {
        match Platform::parse(text.trim()) {
            None => problems.push(format!(
                "--platforms: could not parse platform {text:?}; write os/arch or os/arch/variant"
            )),
            Some(platform) if !matches!(&*platform.os, "linux" | "windows") => {
                let message = format!(
                    "target platform is {text}, but that is not a supported container platform; \
                     forgot --platforms?"
                );
                log.warn(&message, &[]);
            }
            Some(_) => {}
        }
    }
    let credentials = match settings.credentials.as_str() {
        "" => None,
        text => CredentialReference::parse(text, RegistryPrefix::Optional)
            .map_err(|error| problems.push(format!("--credentials: {error}")))
            .ok(),
    };
    let strategy = Strategy::parse(&settings.update_strategy)
        .map_err(|error| problems.push(format!("--update-strategy: {error}")))
        .map(|parsed| parsed.strategy);
    match strategy {
        Ok(strategy) if problems.is_empty() => Ok(Question {
            image: settings.image.clone(),
            constraint: settings.semver_constraint.clone(),
            strategy,
            allow_tags,
            ignore_tags,
            platforms: PlatformSet::parse(&settings.platforms.join(",")),
            credentials,
        }),
        Ok(_) | Err(()) => Err(problems),
    }
}

fn fields(probe: &Probe) -> Vec<Field<'_>> {
    let mut fields = vec![Field::new("image_name", &probe.image().entry.name)];
    if let Some((endpoint, repository)) = probe.place() {
        fields.push(Field::new("registry", &*endpoint.settings().name));
        fields.push(Field::new("repository", repository));
    }
    fields
}

/// The cluster, for Secrets. Without one everything else works all the same.
async fn cluster(settings: &TestSettings, log: &Log) -> Option<ClusterClient> {
    if settings.is_kubernetes_disabled {
        return None;
    }
    let kubeconfig = Some(settings.kubeconfig.as_str()).filter(|path| !path.is_empty());
    match ClusterClient::connect(kubeconfig.map(Path::new)).await {
        Ok(cluster) => Some(cluster),
        Err(error) => {
            let reason = one_line(&error.to_string(), REASON_CHARS_MAX);
            let message = format!("no Kubernetes client, so no Secret can be read: {reason}");
            log.warn(&message, &[]);
            None
        }
    }
}

/// Drives the look-up to its end.
async fn drive(
    mut probe: Probe,
    clock: &Clock,
    http: &HttpClient,
    credentials: &CredentialReader,
    log: &Arc<Log>,
) -> Probe {
    let (completions, mut answered) = mpsc::unbounded_channel();
    let operations = Operations::new(completions);
    let mut narrator = Narrator::new(Arc::clone(log));
    loop {
        while let Some(effect) = probe.poll_effect() {
            start(effect, &operations, http, credentials);
        }
        while let Some(outcome) = probe.poll_event() {
            narrator.tell(&Event::Registry(outcome));
        }
        if probe.reason().is_some() {
            return probe;
        }
        let due = probe.poll_timeout().map(|at| clock.to_deadline(at));
        let due = async move {
            match due {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            Some(input) = answered.recv() => probe.handle_input(clock.now(), input),
            () = due => probe.handle_timeout(clock.now()),
        }
    }
}

fn start(
    effect: Effect,
    operations: &Operations,
    http: &HttpClient,
    credentials: &CredentialReader,
) {
    match effect {
        Effect::Http(op, request) => {
            let http = http.clone();
            let work = async move { Input::Http(op, http.exchange(request).await) };
            operations.start(op, Answer::Http, work);
        }
        Effect::ReadCredential(op, source) => {
            let credentials = credentials.clone();
            let work = async move { Input::Credential(op, credentials.read(&source).await) };
            operations.start(op, Answer::Credential, work);
        }
        Effect::Cancel(op) => operations.cancel(op),
        Effect::Cluster(..) | Effect::Git(..) => unreachable!("a probe has no applications"),
    }
}
