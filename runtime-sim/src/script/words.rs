//! The words of a line, taken one by one.

use std::time::Duration;

use crate::fault::{Place, Throttle, Trouble};
use crate::workload::{ImagePolicy, Version};

/// What is left of a line.
#[derive(Debug)]
pub(super) struct Words<'a> {
    rest: std::iter::Peekable<std::str::SplitWhitespace<'a>>,
}

impl<'a> Words<'a> {
    pub(super) fn new(line: &'a str) -> Self {
        Self {
            rest: line.split_whitespace().peekable(),
        }
    }

    /// The next word, of which `what` says what it has to be.
    pub(super) fn take(&mut self, what: &str) -> Result<&'a str, String> {
        self.rest.next().ok_or_else(|| format!("{what} is missing"))
    }

    /// Takes the next word if it is this one.
    pub(super) fn has(&mut self, word: &str) -> bool {
        self.rest.next_if(|next| *next == word).is_some()
    }

    pub(super) fn end(mut self) -> Result<(), String> {
        match self.rest.next() {
            None => Ok(()),
            Some(word) => Err(format!("{word:?} is one word too many")),
        }
    }

    pub(super) fn number<N: std::str::FromStr>(&mut self, what: &str) -> Result<N, String> {
        let word = self.take(what)?;
        word.parse()
            .map_err(|_| format!("{word:?} is no {what} that fits"))
    }

    pub(super) fn duration(&mut self) -> Result<Duration, String> {
        let word = self.take("a duration")?;
        let unit = word.trim_start_matches(|c: char| c.is_ascii_digit());
        let problem = || format!("{word:?} is no duration such as 500ms, 30s, 5m or 12h");
        let count: u32 = word
            .strip_suffix(unit)
            .and_then(|count| count.parse().ok())
            .ok_or_else(problem)?;
        let count = u64::from(count);
        match unit {
            "ms" => Ok(Duration::from_millis(count)),
            "s" => Ok(Duration::from_secs(count)),
            "m" => Ok(Duration::from_secs(count * 60)),
            "h" => Ok(Duration::from_secs(count * 3600)),
            _ => Err(problem()),
        }
    }

    /// `r3` is registry number 3.
    pub(super) fn registry(&mut self) -> Result<usize, String> {
        let word = self.take("a registry")?;
        numbered(word, "r").ok_or_else(|| format!("{word:?} is no registry such as r0"))
    }

    /// `r3/org/web`.
    pub(super) fn repository(&mut self) -> Result<(usize, String), String> {
        let word = self.take("a repository")?;
        let parts = word.split_once('/');
        parts
            .and_then(|(registry, name)| Some((numbered(registry, "r")?, name.to_owned())))
            .ok_or_else(|| format!("{word:?} is no repository such as r0/org/web"))
    }

    pub(super) fn app(&mut self) -> Result<usize, String> {
        let word = self.take("an application")?;
        numbered(word, "app-").ok_or_else(|| format!("{word:?} is no application such as app-0"))
    }

    pub(super) fn version(&mut self) -> Result<Version, String> {
        let word = self.take("a version")?;
        let mut parts = word.split('.').map(str::parse);
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(Ok(major)), Some(Ok(minor)), Some(Ok(patch)), None) => Ok((major, minor, patch)),
            _ => Err(format!("{word:?} is no version such as 1.2.3")),
        }
    }

    pub(super) fn policy(&mut self) -> Result<ImagePolicy, String> {
        Ok(match self.take("a policy")? {
            "any" => ImagePolicy::Any,
            "alphabetical" => ImagePolicy::Alphabetical,
            "newest-build" => ImagePolicy::NewestBuild,
            "digest" => ImagePolicy::Digest,
            "minor" => {
                let word = self.take("a series")?;
                let parts = word.split_once('.');
                let parts = parts.and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
                let (major, minor) = parts.ok_or_else(|| format!("{word:?} is no A.B"))?;
                ImagePolicy::Minor(major, minor)
            }
            word => return Err(format!("{word:?} is no policy")),
        })
    }

    pub(super) fn place(&mut self) -> Result<Place, String> {
        Ok(match self.take("a place")? {
            "all" => Place::All,
            "content" => Place::Content,
            "lists" => Place::Lists,
            "page" => Place::Page(self.number("number of a page")?),
            "manifests" => Place::Manifests,
            "blobs" => Place::Blobs,
            "tokens" => Place::Tokens,
            word => return Err(format!("{word:?} is no place")),
        })
    }

    pub(super) fn trouble(&mut self) -> Result<Trouble, String> {
        Ok(match self.take("a trouble")? {
            "status" => Trouble::Status(self.number("status")?),
            "429" => Trouble::Throttled(self.throttle()?),
            "reset-before" => Trouble::ResetBefore,
            "reset-mid" => Trouble::ResetMid,
            "cut" => Trouble::Truncated,
            "loop" => Trouble::Loop,
            "repeat" => Trouble::Repeat,
            "shuffled" => Trouble::Shuffled,
            "stale" => Trouble::Stale,
            "unchanged" => Trouble::Unchanged,
            "wrong-digest" => Trouble::WrongDigest,
            "no-port" => Trouble::NoPort,
            "hangs" => Trouble::Hang,
            "times-out" => Trouble::TimesOut,
            "slow" => {
                let secs = self.duration()?.as_secs();
                Trouble::Slow(secs.try_into().map_err(|_| "that is too slow".to_owned())?)
            }
            word => return Err(format!("{word:?} is no trouble")),
        })
    }

    fn throttle(&mut self) -> Result<Throttle, String> {
        Ok(if self.has("seconds") {
            Throttle::Seconds(self.number("number of seconds")?)
        } else if self.has("date") {
            Throttle::Date(self.number("number of seconds")?)
        } else if self.has("past") {
            Throttle::Past
        } else if self.has("huge") {
            Throttle::Huge
        } else if self.has("hint-ms") {
            Throttle::HintMillis(self.number("number of milliseconds")?)
        } else {
            Throttle::Bare
        })
    }
}

fn numbered(word: &str, prefix: &str) -> Option<usize> {
    word.strip_prefix(prefix)?.parse().ok()
}
