//! `run`: from settings to a driver that runs, and to the exit status (`ops.md` 3.1, 1.6).

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use image_updater_core::Seed;
use image_updater_core::duration::GoDuration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::args::{self, ApplicationsApi, Mode, RunSettings, printable_interval, printable_port};
use crate::clock::Clock;
use crate::driver::{Parts, drive_to_end};
use crate::git::{GitClient, GitParts};
use crate::http::redact::one_line;
use crate::http::{HttpClient, install_tls_provider, system_roots};
use crate::kube::ClusterClient;
use crate::registries::watch_registries;
use crate::settings::{Resolved, RunVariables, resolve};
use crate::spawn::{install_panic_hook, spawn};
use crate::telemetry::{Field, Log, Narrator, Relay};
use crate::version;

/// Intervals below this are pointed out in cycle mode.
const INTERVAL_USUAL_MIN: Duration = Duration::from_mins(1);

/// Most of a library's words that are shown.
const REASON_CHARS_MAX: usize = 500;

/// Runs the daemon until it ends or is told to end; the exit status says how (`ops.md` 1.6).
///
/// `warnings` are the remarks of reading the command line, which had no log yet.
pub fn run(
    settings: &RunSettings,
    variables: &RunVariables,
    warnings: &[String],
    log: Log,
) -> ExitCode {
    let log = Arc::new(log);
    Relay::new(Arc::clone(&log)).install();
    install_tls_provider();
    install_panic_hook(Arc::clone(&log));
    announce(settings, warnings, &log);
    let resolved = match resolve(settings, variables) {
        Ok(resolved) => resolved,
        Err(problems) => {
            for problem in problems {
                log.error(&problem, &[]);
            }
            log.fatal("the settings cannot be worked with", &[]);
            return ExitCode::FAILURE;
        }
    };
    for warning in &resolved.warnings {
        log.warn(warning, &[]);
    }
    if let Some(registries) = resolved.registries_loaded {
        let registries = i64::try_from(registries).unwrap_or(i64::MAX);
        log.info("registries loaded", &[Field::new("registries", registries)]);
    }
    if let Some(reason) = refusal(settings) {
        log.fatal(reason, &[]);
        return ExitCode::FAILURE;
    }
    // One thread: the work is waiting, and connections are counted exactly.
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            log.fatal(&format!("could not start: {error}"), &[]);
            return ExitCode::FAILURE;
        }
    };
    runtime.block_on(work(settings, resolved, log))
}

/// Why these settings would run another program than the one asked for: Applications are read from
/// the Kubernetes API only.
fn refusal(settings: &RunSettings) -> Option<&'static str> {
    if settings.kubernetes.is_disabled {
        return Some(
            "--disable-kubernetes leaves no way to read Applications: the Argo CD API is not part of \
             this build yet",
        );
    }
    match settings.argocd.applications_api {
        ApplicationsApi::Kubernetes => None,
        ApplicationsApi::Argocd => Some(
            "--applications-api argocd: the Argo CD API is not part of this build yet; use kubernetes",
        ),
    }
}

async fn work(settings: &RunSettings, resolved: Resolved, log: Arc<Log>) -> ExitCode {
    let kubeconfig = Some(settings.kubernetes.kubeconfig.as_str()).filter(|path| !path.is_empty());
    let cluster = match ClusterClient::connect(kubeconfig.map(Path::new)).await {
        Ok(cluster) => cluster,
        Err(error) => {
            let reason = one_line(&chain(&error), REASON_CHARS_MAX);
            log.fatal(&format!("no Kubernetes client: {reason}"), &[]);
            return ExitCode::FAILURE;
        }
    };
    let argocd_namespace = match settings.kubernetes.argocd_namespace.as_str() {
        "" => cluster.default_namespace().to_owned(),
        namespace => namespace.to_owned(),
    };
    let clock = Clock::start();
    let reloads = resolved.registries.map(|file| {
        let (news, reloads) = mpsc::channel(1);
        // It ends with the driver, which nobody outlives.
        drop(spawn(watch_registries(file, Arc::clone(&log), news)));
        reloads
    });
    let parts = Parts {
        config: resolved.core.into_config(&argocd_namespace),
        seed: seed(&clock),
        clock,
        http: HttpClient::new(resolved.http, system_roots()),
        git: Some(GitParts {
            client: GitClient::new(resolved.git, system_roots()),
            signer: resolved.signer,
            limits: resolved.git_limits,
            argocd_namespace,
        }),
        cluster,
        scope: resolved.scope,
        reloads,
    };
    let mut narrator = Narrator::new(Arc::clone(&log));
    match drive_to_end(parts, |event| narrator.tell(event), told_to_end()).await {
        Ok(()) => {
            log.info("finished", &[]);
            ExitCode::SUCCESS
        }
        Err(error) => {
            log.fatal(&error.to_string(), &[]);
            ExitCode::FAILURE
        }
    }
}

/// Ends when the process is asked to: SIGTERM or SIGINT.
pub(crate) async fn told_to_end() {
    let (Ok(mut terminate), Ok(mut interrupt)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        // Without handlers the signals end the process as they always did.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// A seed that differs between processes: jitter of several of them must not fall together.
fn seed(clock: &Clock) -> Seed {
    let wall = clock.now().wall.as_nanos().cast_unsigned();
    Seed(wall ^ u64::from(std::process::id()).rotate_left(32))
}

/// An error with its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

/// Writes the banner, the warnings and what holds.
pub fn announce(settings: &RunSettings, warnings: &[String], log: &Log) {
    log.info(&banner(settings), &[]);
    for warning in warnings {
        log.warn(warning, &[]);
    }
    let interval = settings.effective_interval();
    let is_short = !interval.is_zero() && interval < INTERVAL_USUAL_MIN;
    if is_short && settings.mode == Mode::Cycle {
        log.warn(
            "the interval is below one minute: registries may throttle; \
             consider --mode continuous or a longer interval",
            &[Field::new("interval", printable_interval(interval.into()))],
        );
    }
    for notice in args::later_flags(settings) {
        log.warn(&notice, &[]);
    }
    log.info("Argo CD settings", &argocd_fields(settings));
    log.info("runtime settings", &runtime_fields(settings));
}

/// The first line: program, version, log level, interval, health port.
pub fn banner(settings: &RunSettings) -> String {
    format!(
        "{} {} starting: loglevel {}, interval {}, health port {}",
        args::PROGRAM,
        version::short_version(),
        settings.log.level.word().to_ascii_uppercase(),
        printable_interval(settings.effective_interval().into()),
        printable_port(settings.effective_health_port()),
    )
}

/// The settings of the Argo CD API; of the token only whether there is one.
fn argocd_fields(settings: &RunSettings) -> Vec<Field<'_>> {
    let argocd = &settings.argocd;
    let has_token = if argocd.effective_auth_token.is_empty() {
        "no"
    } else {
        "yes"
    };
    let server_addr = match argocd.server_addr.as_str() {
        "" => "derived",
        address => address,
    };
    vec![
        Field::new("applications_api", argocd.applications_api.word()),
        Field::new("server_addr", server_addr),
        Field::new("grpc_web", argocd.is_grpc_web),
        Field::new("insecure", argocd.is_insecure),
        Field::new("plaintext", argocd.is_plaintext),
        Field::new("auth_token", has_token),
    ]
}

fn runtime_fields(settings: &RunSettings) -> Vec<Field<'_>> {
    let or_all = |text: &str| {
        if text.is_empty() {
            "all".to_owned()
        } else {
            text.to_owned()
        }
    };
    let concurrency = match settings.max_concurrency {
        0 => "auto".to_owned(),
        workers => workers.to_string(),
    };
    let duration = |duration: Duration| GoDuration::from(duration).to_string();
    vec![
        Field::new("mode", settings.mode.word()),
        Field::new(
            "interval",
            printable_interval(settings.effective_interval().into()),
        ),
        Field::new("dry_run", settings.is_dry_run),
        Field::new("max_concurrency", concurrency),
        Field::new("schedule", settings.schedule.word()),
        Field::new("cooldown", duration(settings.cooldown)),
        Field::new("per_repo_cap", settings.per_repo_cap),
        Field::new("warmup", settings.has_warmup),
        Field::new(
            "application_namespace",
            or_all(&settings.selection.namespace),
        ),
        Field::new("applications_api", settings.argocd.applications_api.word()),
        Field::new(
            "health_port",
            printable_port(settings.effective_health_port()),
        ),
        Field::new("metrics_port", printable_port(settings.metrics_port)),
        Field::new("registries_conf_path", &settings.registries_conf_path),
    ]
}

#[cfg(test)]
mod tests {
    use image_updater_core::time::UnixTime;

    use super::*;
    use crate::args::{Environment, Invocation, parse};
    use crate::telemetry::{LogFormat, Page, Sink};

    #[test]
    fn start_begins_with_the_banner_and_tells_what_is_odd() {
        let text = announced(&[
            "run",
            "--interval=30s",
            "--metrics-port=0",
            "--loglevel=debug",
        ]);
        let lines: Vec<_> = text.lines().collect();
        assert!(
            lines[0].contains("level=info msg=\"argocd-image-updater v"),
            "{text}"
        );
        assert!(
            lines[0].contains("loglevel DEBUG, interval 30s, health port 8080\""),
            "{text}"
        );
        assert!(
            lines[1].contains("level=warning msg=\"W is odd\""),
            "{text}"
        );
        assert!(lines[2].contains("below one minute"), "{text}");
        assert!(
            lines[3].contains("the health server is not part of this build yet"),
            "{text}"
        );
        assert!(
            lines[5].contains("mode=cycle interval=30s dry_run=false"),
            "{text}"
        );
        assert_eq!(lines.len(), 6, "{text}");
    }

    #[test]
    fn short_intervals_are_usual_in_continuous_mode_and_with_once() {
        for flag in ["--mode=continuous", "--once"] {
            let text = announced(&["run", "--interval=30s", flag]);
            assert!(!text.contains("below one minute"), "{text}");
        }
        assert!(announced(&["run", "--once"]).contains("interval once, health port off"));
    }

    #[test]
    fn secrets_are_not_announced() {
        let text = announced(&[
            "run",
            "--argocd-auth-token=hush",
            "--docker-webhook-secret=hush",
            "--loglevel=trace",
        ]);
        assert!(
            text.contains("auth_token=yes") && !text.contains("hush"),
            "{text}"
        );
    }

    fn announced(line: &[&str]) -> String {
        let arguments: Vec<String> = line.iter().map(|word| (*word).to_owned()).collect();
        let parsed = parse(&arguments, &Environment::default());
        let Ok(Invocation::Run(settings)) = parsed.invocation else {
            panic!("{parsed:?}")
        };
        let page = Page::default();
        let sink = || Sink::plain(page.clone());
        let log = Log::new(
            settings.log.level,
            LogFormat::Text,
            || UnixTime::from_secs(0),
            sink(),
            sink(),
        );
        announce(&settings, &["W is odd".to_owned()], &log);
        page.to_text()
    }
}
