//! Help and usage texts, made from the table.

use std::fmt::Write as _;

use super::command::{Command, PROGRAM};
use super::flag::{Flag, Kind, Subject};
use super::value::{Origin, Value, Values};

/// Width of the column of flag names; longer ones have their help on the next line.
const NAME_WIDTH: usize = 42;

/// The help of the program as a whole.
pub(super) fn of_program() -> String {
    let mut text = format!(
        "Keeps the images of Argo CD Applications up to date.\n\n\
         Usage:\n  {PROGRAM} [command]\n\nCommands:\n"
    );
    for command in Command::all() {
        append(
            &mut text,
            format_args!("  {:<12} {}\n", command.word(), command.summary()),
        );
    }
    append(
        &mut text,
        format_args!("\nRun \"{PROGRAM} [command] --help\" for the flags of a command.\n"),
    );
    text
}

/// The help of one command, with the values that hold without flags as defaults.
pub(super) fn of_command(command: Command, values: &Values) -> String {
    let mut text = format!(
        "{}.\n\nUsage:\n  {}\n",
        command.summary(),
        usage_line(command)
    );
    for subject in Subject::ALL {
        let mut has_heading = false;
        for held in values.iter().filter(|held| held.flag.subject == subject) {
            if !has_heading {
                append(&mut text, format_args!("\n{}:\n", subject.heading()));
                has_heading = true;
            }
            let name = format!("--{} {}", held.flag.name, held.flag.kind.placeholder());
            let name = name.trim_end();
            if name.len() < NAME_WIDTH {
                append(&mut text, format_args!("  {name:<NAME_WIDTH$}"));
            } else {
                append(&mut text, format_args!("  {name}\n  {:NAME_WIDTH$}", ""));
            }
            append(&mut text, format_args!(" {}", held.flag.help));
            text.push_str(&remark(held.flag, &held.value, held.origin));
            text.push('\n');
        }
    }
    append(
        &mut text,
        format_args!("\n  {:<NAME_WIDTH$} this text\n", "-h, --help"),
    );
    text
}

/// What is shown on standard error below an error.
pub(super) fn usage(command: Option<Command>) -> String {
    match command {
        Some(command) => format!(
            "Usage:\n  {}\n\nRun \"{PROGRAM} {} --help\" for the flags.\n",
            usage_line(command),
            command.word()
        ),
        None => {
            format!("Usage:\n  {PROGRAM} [command]\n\nRun \"{PROGRAM} --help\" for the commands.\n")
        }
    }
}

fn usage_line(command: Command) -> String {
    format!("{PROGRAM} {} {}", command.word(), command.operands())
}

/// The default and the variable of a flag, in brackets.
fn remark(flag: &Flag, value: &Value, origin: Origin) -> String {
    let shown = match (flag.kind, value) {
        (Kind::Secret, Value::Text(text)) if !text.is_empty() => Some("(secret)".to_owned()),
        (Kind::Text, Value::Text(text)) if !text.is_empty() => Some(format!("{text:?}")),
        (_, Value::Bool(true) | Value::Integer(_) | Value::Duration(_)) => Some(value.to_string()),
        // The environment may say false where it says something.
        (_, Value::Bool(false)) if origin != Origin::Default => Some(value.to_string()),
        (_, Value::Bool(false) | Value::Text(_) | Value::List(_)) => None,
    };
    let variable = flag.variable.map(|variable| variable.name);
    match (shown, variable, origin) {
        (Some(shown), Some(variable), Origin::Environment(_)) => {
            format!(" (default {shown} from ${variable})")
        }
        (Some(shown), Some(variable), _) => format!(" (default {shown}, ${variable})"),
        (Some(shown), None, _) => format!(" (default {shown})"),
        (None, Some(variable), _) => format!(" (${variable})"),
        (None, None, _) => String::new(),
    }
}

fn append(text: &mut String, more: std::fmt::Arguments<'_>) {
    text.write_fmt(more).expect("writing to a String succeeds");
}
