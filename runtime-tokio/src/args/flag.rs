//! What one flag is: the row type of the table in [`super::table`].

use super::command::Command;

/// One flag of one or more commands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flag {
    /// Without the dashes.
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// As it would be written on the command line; empty for nothing.
    pub(super) default: &'static str,
    pub(super) variable: Option<Variable>,
    pub(super) commands: &'static [Command],
    pub(super) subject: Subject,
    pub(super) help: &'static str,
    /// The part of the product that this flag steers, where this build does not have it yet.
    pub(super) later: Option<&'static str>,
}

impl Flag {
    /// The same flag with an environment variable.
    pub(super) const fn env(self, name: &'static str) -> Self {
        self.env_within(name, i64::MIN, i64::MAX)
    }

    /// The same flag with an environment variable whose integers lie in `min..=max`.
    pub(super) const fn env_within(mut self, name: &'static str, min: i64, max: i64) -> Self {
        self.variable = Some(Variable { name, min, max });
        self
    }

    /// The same flag, for other commands than `run`.
    pub(super) const fn on(mut self, commands: &'static [Command]) -> Self {
        self.commands = commands;
        self
    }

    /// The same flag, whose `part` comes later.
    pub(super) const fn later(mut self, part: &'static str) -> Self {
        self.later = Some(part);
        self
    }
}

/// The environment variable of a flag.
#[derive(Clone, Copy, Debug)]
pub(super) struct Variable {
    pub(super) name: &'static str,
    /// Bounds of integers; the flag itself has none (`ops.md` 1.5).
    pub(super) min: i64,
    pub(super) max: i64,
}

/// The grammar of a flag's value (`ops.md` 1.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// A word of truth, only after `=`; the bare flag means true.
    Bool,
    /// A decimal number.
    Integer,
    /// A duration.
    Duration,
    /// Any text.
    Text,
    /// Any text that is never shown.
    Secret,
    /// A list: one CSV record per occurrence, occurrences add up.
    Csv,
    /// A list: one item per occurrence, never split.
    Items,
}

impl Kind {
    /// The placeholder of the value in help texts.
    pub(super) const fn placeholder(self) -> &'static str {
        match self {
            Self::Bool => "",
            Self::Integer => "int",
            Self::Duration => "duration",
            Self::Text | Self::Secret => "string",
            Self::Csv => "list",
            Self::Items => "item",
        }
    }
}

/// The heading under which help shows a flag.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Subject {
    Image,
    Checks,
    Applications,
    Registries,
    Git,
    Webhook,
    Kubernetes,
    ArgoCd,
    Servers,
    Log,
    Other,
}

impl Subject {
    pub(super) const ALL: [Self; 11] = [
        Self::Image,
        Self::Checks,
        Self::Applications,
        Self::Registries,
        Self::Git,
        Self::Webhook,
        Self::Kubernetes,
        Self::ArgoCd,
        Self::Servers,
        Self::Log,
        Self::Other,
    ];

    pub(super) const fn heading(self) -> &'static str {
        match self {
            Self::Image => "Image",
            Self::Checks => "When applications are checked",
            Self::Applications => "Which applications",
            Self::Registries => "Registries",
            Self::Git => "Commits",
            Self::Webhook => "Webhook server",
            Self::Kubernetes => "Kubernetes",
            Self::ArgoCd => "Argo CD API",
            Self::Servers => "Health and metrics",
            Self::Log => "Log",
            Self::Other => "Other",
        }
    }
}
