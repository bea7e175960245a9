//! The binary: reads the command line, does what it says, ends with its status.

use std::io::{self, Write as _};
use std::process::ExitCode;

use image_updater_core::time::UnixTime;
use image_updater_tokio::args::{self, Environment, Invocation, LogSettings, Refusal};
use image_updater_tokio::run;
use image_updater_tokio::telemetry::{Level, Log, LogFormat};

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
    match parsed.invocation {
        Ok(Invocation::Print(text)) => {
            print(&text);
            ExitCode::SUCCESS
        }
        Ok(Invocation::Run(settings)) => {
            let log = run::open_log(settings.log, wall_time);
            run::run(&settings, &parsed.warnings, &log)
        }
        Ok(Invocation::Webhook(settings)) => {
            run::refuse_later("webhook", &run::open_log(settings.log, wall_time))
        }
        Ok(Invocation::Test(settings)) => {
            run::refuse_later("test", &run::open_log(settings.log, wall_time))
        }
        Ok(Invocation::Template(_)) => run::refuse_later("template", &plain_log()),
        Ok(Invocation::Demo { .. }) => run::refuse_later("demo", &plain_log()),
        Err(refusal) => {
            let Refusal { error, usage, help } = *refusal;
            print(&help.unwrap_or_default());
            print_error(&format!("Error: {error}\n\n{usage}"));
            ExitCode::FAILURE
        }
    }
}

/// The log of commands without log flags.
fn plain_log() -> Log {
    let settings = LogSettings {
        level: Level::Info,
        format: LogFormat::Text,
        with_colours: true,
    };
    run::open_log(settings, wall_time)
}

/// The wall clock, for log lines.
#[expect(
    clippy::disallowed_methods,
    reason = "log lines carry the time of the machine"
)]
fn wall_time() -> UnixTime {
    let since_epoch = std::time::SystemTime::now()
        .duration_since(std::time::SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    UnixTime::from_nanos(i64::try_from(since_epoch.as_nanos()).unwrap_or(i64::MAX))
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
