//! The values of a command's flags, with where each came from.

use std::collections::BTreeMap;
use std::fmt;

use image_updater_core::duration::GoDuration;

use super::command::Command;
use super::csv;
use super::environment::Environment;
use super::error::ArgsError;
use super::flag::{Flag, Kind};
use super::table;

/// A value of one of the kinds.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Value {
    Bool(bool),
    Integer(i64),
    Duration(GoDuration),
    Text(String),
    List(Vec<String>),
}

/// Where a value came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Origin {
    Default,
    Environment(&'static str),
    CommandLine,
}

/// The value that a flag has now.
pub(super) struct Held {
    pub(super) flag: &'static Flag,
    pub(super) value: Value,
    pub(super) origin: Origin,
}

/// The values of all flags of one command.
pub(super) struct Values(BTreeMap<&'static str, Held>);

impl Values {
    /// Defaults and environment, before the command line.
    pub(super) fn before_arguments(
        command: Command,
        environment: &Environment,
        warnings: &mut Vec<String>,
    ) -> Self {
        let held = |flag: &'static Flag| {
            let (value, origin) = initial(flag, environment, warnings);
            (
                flag.name,
                Held {
                    flag,
                    value,
                    origin,
                },
            )
        };
        Self(table::flags_of(command).map(held).collect())
    }

    /// The flag `name` and its value, if the command has it.
    pub(super) fn find(&mut self, name: &str) -> Option<&mut Held> {
        self.0.get_mut(name)
    }

    /// All flags in the order of their names.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Held> {
        self.0.values()
    }

    pub(super) fn held(&self, name: &str) -> &Held {
        self.0
            .get(name)
            .expect("settings read only flags that the table has for their command")
    }

    pub(super) fn bool(&self, name: &str) -> bool {
        let Value::Bool(yes) = &self.held(name).value else {
            wrong_kind(name)
        };
        *yes
    }

    pub(super) fn integer(&self, name: &str) -> i64 {
        let Value::Integer(number) = &self.held(name).value else {
            wrong_kind(name)
        };
        *number
    }

    pub(super) fn duration(&self, name: &str) -> GoDuration {
        let Value::Duration(duration) = &self.held(name).value else {
            wrong_kind(name)
        };
        *duration
    }

    pub(super) fn text(&self, name: &str) -> &str {
        let Value::Text(text) = &self.held(name).value else {
            wrong_kind(name)
        };
        text
    }

    pub(super) fn list(&self, name: &str) -> Vec<String> {
        let Value::List(items) = &self.held(name).value else {
            wrong_kind(name)
        };
        items.clone()
    }
}

/// Ends a reading that does not fit the table; every reading is run by the tests.
fn wrong_kind(name: &str) -> ! {
    panic!("settings read --{name} as another kind than the table says")
}

impl Held {
    /// Takes what the command line says; the last one wins, lists add up.
    pub(super) fn take(&mut self, text: &str) -> Result<(), ArgsError> {
        let mut value = read(self.flag, text)?;
        if let (Origin::CommandLine, Value::List(before), Value::List(more)) =
            (self.origin, &mut self.value, &mut value)
        {
            before.append(more);
            return Ok(());
        }
        self.value = value;
        self.origin = Origin::CommandLine;
        Ok(())
    }

    /// True when the value is another one than the built-in default.
    pub(super) fn is_changed(&self) -> bool {
        self.value != default_of(self.flag)
    }
}

/// What a flag has from the environment or by default.
fn initial(
    flag: &'static Flag,
    environment: &Environment,
    warnings: &mut Vec<String>,
) -> (Value, Origin) {
    let default = default_of(flag);
    let Some(variable) = flag.variable else {
        return (default, Origin::Default);
    };
    let Some(text) = environment.text(variable.name) else {
        return (default, Origin::Default);
    };
    let value = match &default {
        Value::Bool(default) => Value::Bool(environment.bool_or(variable.name, *default, warnings)),
        Value::Integer(default) => Value::Integer(environment.integer_or(
            variable.name,
            *default,
            (variable.min, variable.max),
            warnings,
        )),
        Value::Duration(default) => {
            Value::Duration(environment.duration_or(variable.name, *default, warnings))
        }
        Value::Text(_) => Value::Text(text.to_owned()),
        Value::List(_) => default.clone(),
    };
    let origin = if value == default {
        Origin::Default
    } else {
        Origin::Environment(variable.name)
    };
    (value, origin)
}

fn default_of(flag: &'static Flag) -> Value {
    match flag.kind {
        Kind::Items => Value::List(Vec::new()),
        Kind::Bool | Kind::Integer | Kind::Duration | Kind::Text | Kind::Secret | Kind::Csv => {
            read(flag, flag.default).expect("defaults in the table are well-formed")
        }
    }
}

/// Reads `text` as a value of `flag` (`ops.md` 1.3).
fn read(flag: &'static Flag, text: &str) -> Result<Value, ArgsError> {
    let refuse = |reason: String| ArgsError::Invalid {
        value: text.to_owned(),
        flag: flag.name,
        variable: None,
        reason,
    };
    match flag.kind {
        Kind::Bool => match text {
            "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(Value::Bool(true)),
            "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(Value::Bool(false)),
            _ => Err(refuse("accepted values are true and false".to_owned())),
        },
        Kind::Integer => text
            .parse()
            .map(Value::Integer)
            .map_err(|_| refuse("a whole decimal number is expected".to_owned())),
        Kind::Duration => text.parse().map(Value::Duration).map_err(|error| {
            refuse(format!(
                "{error}; a duration is a number with a unit, like 90s, 2m or 1h30m"
            ))
        }),
        Kind::Text | Kind::Secret => Ok(Value::Text(text.to_owned())),
        Kind::Csv => csv::split(text)
            .map(Value::List)
            .map_err(|reason| refuse(reason.to_owned())),
        Kind::Items => Ok(Value::List(vec![text.to_owned()])),
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(yes) => write!(f, "{yes}"),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Duration(duration) => write!(f, "{duration}"),
            Self::Text(text) => f.write_str(text),
            Self::List(items) => f.write_str(&items.join(",")),
        }
    }
}
