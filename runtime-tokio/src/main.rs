//! The binary: reads the command line, does what it says, ends with its status.

use std::io::{self, Write as _};
use std::process::ExitCode;

use image_updater_tokio::args::{
    self, Environment, GitVariables, Invocation, LogSettings, Output, Refusal, RegistryVariables,
};
use image_updater_tokio::clock::Clock;
use image_updater_tokio::settings::RunVariables;
use image_updater_tokio::telemetry::{Log, Sink};
use image_updater_tokio::template::Shown;
use image_updater_tokio::{run, template, test_image};

/// The exit status of the credential helper when it cannot answer (`ops.md` 1.6).
const ASK_PASS_FAILED: u8 = 20;

fn main() -> ExitCode {
    let environment = Environment::of_process();
    if environment.text("ARGOCD_BINARY_NAME") == Some("argocd-git-ask-pass") {
        print_error("the credential helper for Git is not part of this build\n");
        return ExitCode::from(ASK_PASS_FAILED);
    }
    let arguments: Vec<String> = std::env::args_os()
        .skip(1)
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let parsed = args::parse(&arguments, &environment);
    let mut warnings = parsed.warnings;
    match parsed.invocation {
        Ok(Invocation::Print(text)) => {
            print(&text);
            ExitCode::SUCCESS
        }
        Ok(Invocation::Run(settings)) => {
            let variables = RunVariables {
                registry: RegistryVariables::of(&environment, &mut warnings),
                git: GitVariables::of(&environment, &mut warnings),
                write_retries_max: args::write_retries_max(&environment, &mut warnings),
                environment,
            };
            run::run(&settings, &variables, &warnings, log(settings.log))
        }
        Ok(Invocation::Webhook(settings)) => refuse("webhook", &warnings, &log(settings.log)),
        Ok(Invocation::Test(settings)) => {
            let variables = RegistryVariables::of(&environment, &mut warnings);
            let log = match settings.output {
                Output::Text => log(settings.log),
                Output::Json => log_aside(settings.log),
            };
            test_image::run(&settings, &variables, &warnings, log, print)
        }
        Ok(Invocation::Template(path)) => match template::show(path.as_deref()) {
            Ok(Shown { text, remark }) => {
                print(&text);
                if let Some(remark) = remark {
                    print_error(&format!("Warning: {remark}\n"));
                }
                ExitCode::SUCCESS
            }
            Err(error) => {
                print_error(&format!("Error: {error}\n"));
                ExitCode::FAILURE
            }
        },
        Ok(Invocation::Demo { keep }) => demo(keep, &environment),
        Err(refusal) => {
            let Refusal { error, usage, help } = *refusal;
            print(&help.unwrap_or_default());
            print_error(&format!("Error: {error}\n\n{usage}"));
            ExitCode::FAILURE
        }
    }
}

/// Plays the demo.
#[cfg(feature = "demo")]
fn demo(keep: bool, environment: &Environment) -> ExitCode {
    image_updater_tokio::demo::run(keep, environment)
}

/// The shipped image comes without the demo and its fake world.
#[cfg(not(feature = "demo"))]
fn demo(_keep: bool, _environment: &Environment) -> ExitCode {
    print_error("the demo is not part of this build\n");
    ExitCode::FAILURE
}

/// Says that a command comes later, in the way of a command that failed.
fn refuse(command: &str, warnings: &[String], log: &Log) -> ExitCode {
    for warning in warnings {
        log.warn(warning, &[]);
    }
    log.fatal(
        &format!("the command {command} is not part of this build yet"),
        &[],
    );
    ExitCode::FAILURE
}

/// The log that `settings` ask for, on the streams of the process.
fn log(settings: LogSettings) -> Log {
    let LogSettings {
        level,
        format,
        with_colours,
    } = settings;
    let clock = Clock::start();
    Log::to_process_streams(level, format, with_colours, move || clock.now().wall)
}

/// The same log on standard error alone: standard output is for a document.
fn log_aside(settings: LogSettings) -> Log {
    let clock = Clock::start();
    let sink = || Sink::plain(io::stderr());
    Log::new(
        settings.level,
        settings.format,
        move || clock.now().wall,
        sink(),
        sink(),
    )
}

/// Writes to standard output; a reader that went away is no failure.
fn print(text: &str) {
    let mut out = io::stdout();
    drop(out.write_all(text.as_bytes()).and_then(|()| out.flush()));
}

/// Writes to standard error; there is nowhere else to say that this failed.
fn print_error(text: &str) {
    drop(io::stderr().write_all(text.as_bytes()));
}
