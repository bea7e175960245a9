//! The command line and the environment, from words to validated settings (`ops.md` 1, 2, 8 to 11).
//!
//! - One table of flags makes the parsing, the environment look-up, the help texts and the
//!   completion scripts.
//! - Everything is a function of (arguments, environment): nothing here reads the process, but for
//!   [`Environment::of_process`].
//! - Whatever is wrong is found before anything starts; the message names the flag and what would
//!   be accepted.

mod command;
mod completion;
mod csv;
mod environment;
mod error;
mod flag;
mod git_variables;
mod grammar;
mod help;
mod later;
mod run_settings;
mod settings;
mod table;
mod test_settings;
mod value;
mod variables;
mod webhook_settings;

pub use command::{Command, PROGRAM};
pub use environment::Environment;
pub use error::ArgsError;
pub use git_variables::GitVariables;
pub use later::{LaterPart, later_flags};
pub use run_settings::{Mode, RunSettings, Schedule, printable_interval, printable_port};
pub use settings::{
    ApplicationsApi, ArgocdSettings, CommitSettings, KubernetesSettings, LogSettings,
    SelectionSettings, SigningMethod, WebhookServerSettings,
};
pub use test_settings::{Output, TestSettings, own_platform};
pub use variables::{RegistryVariables, write_retries_max};
pub use webhook_settings::WebhookSettings;

use crate::version;
use completion::Shell;
use settings::Reader;
use value::Values;

/// What the command line asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Invocation {
    /// Print this on standard output and end well: help, the version, a completion script.
    Print(String),
    /// Run the daemon.
    Run(Box<RunSettings>),
    /// Serve webhooks only.
    Webhook(Box<WebhookSettings>),
    /// Look up one image.
    Test(Box<TestSettings>),
    /// Render a commit message: with the template at this path, or the built-in one.
    Template(Option<String>),
    /// Run against a fake world.
    Demo {
        /// Go on until interrupted.
        keep: bool,
    },
}

/// Why the command line is not followed: exit status 1.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// What is wrong.
    pub error: ArgsError,
    /// For standard error, below the error.
    pub usage: String,
    /// For standard output, where a command was called without what it needs.
    pub help: Option<String>,
}

/// The outcome of reading a command line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Parsed {
    /// What to do.
    pub invocation: Result<Invocation, Box<Refusal>>,
    /// Environment variables whose values were not acceptable; to be logged.
    pub warnings: Vec<String>,
}

/// Reads the arguments after the program's name, with the environment behind them.
pub fn parse(arguments: &[String], environment: &Environment) -> Parsed {
    let mut warnings = Vec::new();
    let invocation = invocation(arguments, environment, &mut warnings);
    Parsed {
        invocation,
        warnings,
    }
}

fn invocation(
    arguments: &[String],
    environment: &Environment,
    warnings: &mut Vec<String>,
) -> Result<Invocation, Box<Refusal>> {
    let (command, rest) =
        grammar::split_command(arguments).map_err(|error| Box::new(refuse(error, None)))?;
    let Some(command) = command else {
        return without_command(&rest);
    };
    let mut values = Values::before_arguments(command, environment, warnings);
    let help = help::of_command(command, &values);
    let words = grammar::take_flags(&rest, &mut values)
        .map_err(|error| Box::new(refuse(error, Some(command))))?;
    if words.wants_help {
        return Ok(Invocation::Print(help));
    }
    let mut reader = Reader {
        values: &values,
        environment,
        warnings,
    };
    of_command(command, &mut reader, words.words, &help).map_err(|error| {
        let mut refusal = refuse(error, Some(command));
        if command == Command::Test && refusal.error == image_missing() {
            refusal.help = Some(help);
        }
        Box::new(refusal)
    })
}

/// The invocation of one command with its values and the words beside its flags.
fn of_command(
    command: Command,
    reader: &mut Reader<'_>,
    words: Vec<String>,
    help: &str,
) -> Result<Invocation, ArgsError> {
    let mut words = words.into_iter();
    let invocation = match command {
        Command::Run => {
            no_more(command, words)?;
            return RunSettings::read(reader).map(|run| Invocation::Run(Box::new(run)));
        }
        Command::Webhook => {
            no_more(command, words)?;
            return WebhookSettings::read(reader).map(|hook| Invocation::Webhook(Box::new(hook)));
        }
        Command::Test => {
            let image = words.next().ok_or_else(image_missing)?;
            Invocation::Test(Box::new(TestSettings::read(reader, image)?))
        }
        // More than one path counts like none.
        Command::Template => match (words.next(), words.next()) {
            (path, None) => return Ok(Invocation::Template(path)),
            (_, Some(_)) => return Ok(Invocation::Template(None)),
        },
        Command::Demo => Invocation::Demo {
            keep: reader.values.bool("keep"),
        },
        Command::Version if reader.values.bool("short") => {
            Invocation::Print(format!("{}\n", version::short_version()))
        }
        Command::Version => Invocation::Print(version::long_version()),
        Command::Completion => match words.next() {
            Some(word) => {
                let with_descriptions = !reader.values.bool("no-descriptions");
                Invocation::Print(completion::script(
                    Shell::with_word(&word)?,
                    with_descriptions,
                ))
            }
            None => Invocation::Print(help.to_owned()),
        },
        Command::Help => match words.next() {
            Some(word) => Invocation::Print(help_about(&word, reader)?),
            None => Invocation::Print(help::of_program()),
        },
    };
    no_more(command, words)?;
    Ok(invocation)
}

fn help_about(word: &str, reader: &mut Reader<'_>) -> Result<String, ArgsError> {
    let command =
        Command::with_word(word).ok_or_else(|| ArgsError::UnknownCommand(word.to_owned()))?;
    let values = Values::before_arguments(command, reader.environment, reader.warnings);
    Ok(help::of_command(command, &values))
}

fn image_missing() -> ArgsError {
    ArgsError::Refused("test needs an image to look up".to_owned())
}

fn no_more(command: Command, mut words: impl Iterator<Item = String>) -> Result<(), ArgsError> {
    match words.next() {
        Some(word) => Err(ArgsError::UnexpectedArgument {
            word: grammar::without_value(&word),
            command: command.word(),
        }),
        None => Ok(()),
    }
}

/// What arguments without a command word mean: a call for help, or flags of no command.
fn without_command(rest: &[&str]) -> Result<Invocation, Box<Refusal>> {
    for argument in rest {
        let error = match *argument {
            "--" => continue,
            "-h" | "--help" => break,
            flag if flag.starts_with("--") => {
                let name = flag[2..].split('=').next().unwrap_or_default();
                ArgsError::UnknownFlag(name.to_owned())
            }
            word => ArgsError::UnknownCommand(grammar::without_value(word)),
        };
        return Err(Box::new(refuse(error, None)));
    }
    Ok(Invocation::Print(help::of_program()))
}

fn refuse(error: ArgsError, command: Option<Command>) -> Refusal {
    Refusal {
        error,
        usage: help::usage(command),
        help: None,
    }
}

#[cfg(test)]
mod tests;
