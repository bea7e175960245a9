//! What a script expects, and whether it came so.

use std::fmt;

use image_updater_core::id::AppKey;
use image_updater_core::time::Time;

use super::words::Words;
use crate::checks::Tally;
use crate::engine::Engine;
use crate::fault::Place;
use crate::workload::{AppIdx, Version};
use crate::world::{NAMESPACE, host};

/// One expectation.
#[derive(Clone, Debug)]
pub struct Expectation {
    /// When it is judged; `None` is at the end.
    pub at: Option<Time>,
    /// The number of its line.
    pub line: usize,
    /// The line.
    pub text: String,
    /// What is wanted.
    pub wanted: Wanted,
}

/// What is wanted.
#[derive(Clone, Debug)]
pub enum Wanted {
    /// So many of something.
    Count(Counted, Comparison, u64),
    /// An application asks for this tag.
    Holds(AppIdx, String),
    /// Its first image was decided with this reason.
    Reason(AppIdx, String),
    /// What happens elsewhere is the same without the users of this registry (L3).
    OthersUnchanged(usize),
}

/// What is counted, in which time.
#[derive(Clone, Debug)]
pub enum Counted {
    /// Requests to a registry.
    Requests(usize, Place, Time, Time),
    /// Refused passwords.
    FailedLogins(usize, Time, Time),
    /// Repeated attempts.
    Retries(usize),
    /// Starts of one application's check.
    Checks(AppIdx, Time, Time),
    /// Pushes that were taken.
    Commits,
    /// Writes, of one application or of all.
    Updates(Option<AppIdx>, Time, Time),
}

/// How two numbers compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `<=`
    AtMost,
    /// `=`
    Equal,
    /// `>=`
    AtLeast,
}

impl Comparison {
    fn holds(self, seen: u64, wanted: u64) -> bool {
        match self {
            Self::AtMost => seen <= wanted,
            Self::Equal => seen == wanted,
            Self::AtLeast => seen >= wanted,
        }
    }
}

impl Wanted {
    /// Reads what stands behind `expect`.
    pub(super) fn parse(mut words: Words<'_>) -> Result<Self, String> {
        let wanted = match words.take("an expectation")? {
            "requests" => {
                let (registry, place) = (words.registry()?, words.place()?);
                if matches!(place, Place::Page(_)) {
                    return Err("requests are not counted by page".to_owned());
                }
                Self::count(&mut words, |from, until| {
                    Counted::Requests(registry, place, from, until)
                })?
            }
            "failed-logins" => {
                let registry = words.registry()?;
                Self::count(&mut words, |from, until| {
                    Counted::FailedLogins(registry, from, until)
                })?
            }
            "retries" => {
                let counted = Counted::Retries(words.registry()?);
                let (comparison, number) = comparison(&mut words)?;
                Self::Count(counted, comparison, number)
            }
            "checks" => {
                let app = words.app()?;
                Self::count(&mut words, |from, until| Counted::Checks(app, from, until))?
            }
            "updates" => {
                let (comparison, number) = comparison(&mut words)?;
                let app = words.has("of").then(|| words.app()).transpose()?;
                let (from, until) = between(&mut words)?;
                Self::Count(Counted::Updates(app, from, until), comparison, number)
            }
            "commits" => {
                let (comparison, number) = comparison(&mut words)?;
                Self::Count(Counted::Commits, comparison, number)
            }
            "others-than" => {
                let registry = words.registry()?;
                if !words.has("unchanged") {
                    return Err("`unchanged` is missing".to_owned());
                }
                Self::OthersUnchanged(registry)
            }
            word => {
                let app = Words::new(word).app()?;
                match words.take("`holds` or `reason`")? {
                    "holds" => Self::Holds(app, words.take("a tag")?.to_owned()),
                    "reason" => Self::Reason(app, words.take("a code")?.to_owned()),
                    other => return Err(format!("{other:?} is neither `holds` nor `reason`")),
                }
            }
        };
        words.end()?;
        Ok(wanted)
    }

    fn count(
        words: &mut Words<'_>,
        counted: impl FnOnce(Time, Time) -> Counted,
    ) -> Result<Self, String> {
        let (comparison, number) = comparison(words)?;
        let (from, until) = between(words)?;
        Ok(Self::Count(counted(from, until), comparison, number))
    }

    /// True, or what was seen instead.
    pub(super) fn judge(&self, engine: &Engine) -> Result<(), Seen> {
        let name = |app: &AppIdx| engine.world.apps[*app].name.clone();
        match self {
            Self::Count(counted, comparison, wanted) => {
                let seen = counted.seen(engine);
                if comparison.holds(seen, *wanted) {
                    Ok(())
                } else {
                    Err(Seen(seen.to_string()))
                }
            }
            Self::Holds(app, wanted) => match engine.world.held_tag(*app) {
                Some(held) if held == *wanted => Ok(()),
                held => Err(Seen(held.unwrap_or_else(|| "nothing".to_owned()))),
            },
            Self::Reason(app, wanted) => {
                let explanation = engine.core.explain(&AppKey::new(NAMESPACE, name(app)));
                let images = explanation.map(|explanation| explanation.images);
                let image = images.and_then(|images| images.first().cloned());
                let Some(image) = image else {
                    return Err(Seen("no decision".to_owned()));
                };
                if image.reason.code() == wanted {
                    Ok(())
                } else {
                    let reason = &image.reason;
                    Err(Seen(format!("{}: {reason}", reason.code())))
                }
            }
            // Judged by a second run.
            Self::OthersUnchanged(_) => Ok(()),
        }
    }
}

/// What was seen instead of what was wanted.
#[derive(Debug)]
pub(super) struct Seen(pub(super) String);

impl Counted {
    fn seen(&self, engine: &Engine) -> u64 {
        let tally: &Tally = &engine.observers.tally;
        let of = |rows: &[(Time, String)], from: Time, until: Time, name: Option<String>| {
            rows.iter()
                .filter(|(at, who)| {
                    (from..until).contains(at) && name.as_ref().is_none_or(|name| who == name)
                })
                .count()
        };
        let name = |app: AppIdx| engine.world.apps[app].name.clone();
        let count = match self {
            Self::Commits => return engine.observers.commits.landed,
            Self::Requests(registry, place, from, until) => {
                tally.requests(&host(*registry), *place, *from, *until)
            }
            Self::FailedLogins(registry, from, until) => {
                of(&tally.failed_logins, *from, *until, Some(host(*registry)))
            }
            Self::Retries(registry) => {
                let retries = &engine.observers.requests.retries;
                return retries.get(&host(*registry)).copied().unwrap_or(0);
            }
            Self::Checks(app, from, until) => of(&tally.starts, *from, *until, Some(name(*app))),
            Self::Updates(app, from, until) => of(&tally.writes, *from, *until, app.map(name)),
        };
        u64::try_from(count).unwrap_or(u64::MAX)
    }
}

fn comparison(words: &mut Words<'_>) -> Result<(Comparison, u64), String> {
    let comparison = match words.take("a comparison")? {
        "<=" => Comparison::AtMost,
        "=" => Comparison::Equal,
        ">=" => Comparison::AtLeast,
        word => return Err(format!("{word:?} is none of <=, =, >=")),
    };
    Ok((comparison, words.number("number")?))
}

fn between(words: &mut Words<'_>) -> Result<(Time, Time), String> {
    if !words.has("between") {
        return Ok((Time::ZERO, Time::from_nanos(u64::MAX)));
    }
    let (from, until) = (words.duration()?, words.duration()?);
    if from >= until {
        return Err("the time between ends before it begins".to_owned());
    }
    Ok((Time::ZERO.after(from), Time::ZERO.after(until)))
}

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.text)
    }
}

/// The version number `n` of a repository that a script declares.
pub(super) fn version(n: u64) -> Version {
    (1, n / 100, n % 100)
}
