//! From words to values: the grammar of arguments (`ops.md` 1.3).

use super::command::Command;
use super::error::ArgsError;
use super::flag::Kind;
use super::table;
use super::value::Values;

/// The command in `arguments`, which may stand behind flags, and everything but its word.
pub(super) fn split_command(
    arguments: &[String],
) -> Result<(Option<Command>, Vec<&str>), ArgsError> {
    let mut rest: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut idx = 0;
    while let Some(argument) = rest.get(idx) {
        match Shape::of(argument)? {
            Shape::End => break,
            Shape::Help => idx += 1,
            Shape::Long { name, value } => {
                let flag = table::flag_of_any_command(name)
                    .ok_or_else(|| ArgsError::UnknownFlag(name.to_owned()))?;
                let takes_next = value.is_none() && flag.kind != Kind::Bool;
                idx += if takes_next { 2 } else { 1 };
            }
            Shape::Word(word) => {
                let command = Command::with_word(word)
                    .ok_or_else(|| ArgsError::UnknownCommand(without_value(word)))?;
                rest.remove(idx);
                return Ok((Some(command), rest));
            }
        }
    }
    Ok((None, rest))
}

/// What arguments hold beside flags.
pub(super) struct Words {
    /// In their order.
    pub(super) words: Vec<String>,
    /// `-h` or `--help` was there.
    pub(super) wants_help: bool,
}

/// Takes all flags of `arguments` into `values`.
///
/// A call for help ends the reading, so that what follows it cannot be wrong.
pub(super) fn take_flags(arguments: &[&str], values: &mut Values) -> Result<Words, ArgsError> {
    let mut words = Vec::new();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match Shape::of(argument)? {
            Shape::End => {
                words.extend(rest.map(|word| (*word).to_owned()));
                break;
            }
            Shape::Help => {
                return Ok(Words {
                    words,
                    wants_help: true,
                });
            }
            Shape::Word(word) => words.push(word.to_owned()),
            Shape::Long { name, value } => {
                let held = values
                    .find(name)
                    .ok_or_else(|| ArgsError::UnknownFlag(name.to_owned()))?;
                let value = match value {
                    Some(value) => value,
                    None if held.flag.kind == Kind::Bool => "true",
                    None => rest
                        .next()
                        .ok_or_else(|| ArgsError::ValueMissing(name.to_owned()))?,
                };
                held.take(value)?;
            }
        }
    }
    Ok(Words {
        words,
        wants_help: false,
    })
}

/// What one argument looks like.
enum Shape<'a> {
    /// `--`: only words follow.
    End,
    Help,
    Long {
        name: &'a str,
        value: Option<&'a str>,
    },
    Word(&'a str),
}

impl<'a> Shape<'a> {
    fn of(argument: &'a str) -> Result<Self, ArgsError> {
        let Some(long) = argument.strip_prefix("--") else {
            return match argument
                .strip_prefix('-')
                .and_then(|short| short.chars().next())
            {
                None => Ok(Self::Word(argument)),
                Some('h') => Ok(Self::Help),
                Some(letter) => Err(ArgsError::UnknownShorthand {
                    letter,
                    argument: without_value(argument),
                }),
            };
        };
        if long.is_empty() {
            return Ok(Self::End);
        }
        let (name, value) = match long.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (long, None),
        };
        match name {
            "" => Err(ArgsError::BadSyntax(without_value(argument))),
            name if name.starts_with('-') => Err(ArgsError::BadSyntax(without_value(argument))),
            "help" => Ok(Self::Help),
            name => Ok(Self::Long { name, value }),
        }
    }
}

/// An argument as it may be shown: what stands behind an equals sign may be the value of a secret flag with
/// a slip in its name or its dashes.
pub(super) fn without_value(argument: &str) -> String {
    match argument.split_once('=') {
        Some((name, _)) => format!("{name}=…"),
        None => argument.to_owned(),
    }
}
