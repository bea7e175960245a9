//! How urgent a record is, and in which format records are written.

use std::fmt;
use std::str::FromStr;

/// The urgency of a record, from least to most.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Level {
    /// Things that happen for every packet or request.
    Trace,
    /// Things that help to find a mistake; the level until another is applied.
    #[default]
    Debug,
    /// What the program did.
    Info,
    /// Look at it when convenient.
    Warn,
    /// Something failed that should not.
    Error,
    /// The reason why the process ends.
    Fatal,
}

impl Level {
    /// The words that `--loglevel` accepts, in any letter case.
    pub const WORDS: &[&str] = &["trace", "debug", "info", "warn", "error"];

    /// The word for settings.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Fatal => "fatal",
        }
    }

    /// The word in log lines.
    pub const fn line_word(self) -> &'static str {
        match self {
            Self::Warn => "warning",
            Self::Trace | Self::Debug | Self::Info | Self::Error | Self::Fatal => self.word(),
        }
    }
}

/// A word is not among those accepted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UnknownWord;

impl FromStr for Level {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        [
            Self::Trace,
            Self::Debug,
            Self::Info,
            Self::Warn,
            Self::Error,
        ]
        .into_iter()
        .find(|level| level.word().eq_ignore_ascii_case(text))
        .ok_or(UnknownWord)
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// The format of log lines.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LogFormat {
    /// `time="…" level=… msg="…" key=value`.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}
