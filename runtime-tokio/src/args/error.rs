//! What can be wrong with a command line.

use std::fmt;

use super::command::PROGRAM;

/// Why a command line is refused; shown on standard error, with exit status 1.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ArgsError {
    /// The first word is no command.
    UnknownCommand(String),
    /// A long flag that the command does not have.
    UnknownFlag(String),
    /// A single dash with something else than `h`.
    UnknownShorthand {
        /// The first letter.
        letter: char,
        /// The whole argument.
        argument: String,
    },
    /// Two dashes with something that cannot be a name.
    BadSyntax(String),
    /// A flag that takes a value stands last.
    ValueMissing(String),
    /// A value that the flag does not take.
    Invalid {
        /// The value.
        value: String,
        /// The flag's name.
        flag: &'static str,
        /// The variable that the value is from, if it is not from the command line.
        variable: Option<&'static str>,
        /// What is wrong, and what would be accepted.
        reason: String,
    },
    /// A word that the command does not take.
    UnexpectedArgument {
        /// The word.
        word: String,
        /// The command's word.
        command: &'static str,
    },
    /// The settings contradict the rules; the text says everything.
    Refused(String),
}

impl fmt::Display for ArgsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownCommand(word) => write!(f, "unknown command {word:?} for {PROGRAM:?}"),
            Self::UnknownFlag(name) => write!(f, "unknown flag: --{name}"),
            Self::UnknownShorthand { letter, argument } => {
                write!(f, "unknown shorthand flag: {letter:?} in {argument}")?;
                f.write_str(" (long flags begin with two dashes)")
            }
            Self::BadSyntax(argument) => write!(f, "bad flag syntax: {argument}"),
            Self::ValueMissing(name) => write!(f, "flag needs an argument: --{name}"),
            Self::Invalid {
                value,
                flag,
                variable,
                reason,
            } => {
                write!(f, "invalid argument {value:?} for \"--{flag}\" flag")?;
                if let Some(variable) = variable {
                    write!(f, " (from {variable})")?;
                }
                write!(f, ": {reason}")
            }
            Self::UnexpectedArgument { word, command } => {
                write!(
                    f,
                    "unexpected argument {word:?} for \"{PROGRAM} {command}\""
                )?;
                if matches!(word.as_str(), "true" | "false") {
                    f.write_str(" (boolean flags take their value after an equals sign)")?;
                }
                Ok(())
            }
            Self::Refused(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for ArgsError {}
