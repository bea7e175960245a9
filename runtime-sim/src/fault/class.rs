//! The classes of registry faults that a run can draw, and how often.

use crate::entropy::Entropy;
use crate::fault::{Place, Throttle, Trouble};

/// A class of faults by the name that it has in a plan file.
#[derive(Clone, Copy, Debug)]
pub struct Class {
    /// Its name.
    pub name: &'static str,
    /// What happens.
    pub trouble: Trouble,
    /// To which requests.
    pub place: Place,
}

const fn class(name: &'static str, trouble: Trouble, place: Place) -> Class {
    Class {
        name,
        trouble,
        place,
    }
}

/// Every class (`simulation.md` 3.3, rows "latency" and "registry").
pub const CLASSES: [Class; 26] = [
    class(
        "429-bare",
        Trouble::Throttled(Throttle::Bare),
        Place::Content,
    ),
    class(
        "429-seconds",
        Trouble::Throttled(Throttle::Seconds(20)),
        Place::Content,
    ),
    class(
        "429-date",
        Trouble::Throttled(Throttle::Date(20)),
        Place::Content,
    ),
    class(
        "429-past",
        Trouble::Throttled(Throttle::Past),
        Place::Content,
    ),
    class(
        "429-huge",
        Trouble::Throttled(Throttle::Huge),
        Place::Content,
    ),
    class(
        "429-hint",
        Trouble::Throttled(Throttle::HintMillis(1_500)),
        Place::Content,
    ),
    class("500", Trouble::Status(500), Place::Content),
    class("502", Trouble::Status(502), Place::Content),
    class("503", Trouble::Status(503), Place::Content),
    class("401", Trouble::Status(401), Place::Content),
    class("404", Trouble::Status(404), Place::Lists),
    class("reset-before", Trouble::ResetBefore, Place::All),
    class("reset-mid", Trouble::ResetMid, Place::All),
    class("cut", Trouble::Truncated, Place::All),
    class("loop", Trouble::Loop, Place::Lists),
    class("repeat", Trouble::Repeat, Place::Lists),
    class("shuffled", Trouble::Shuffled, Place::Lists),
    class("stale", Trouble::Stale, Place::Lists),
    class("unchanged", Trouble::Unchanged, Place::Content),
    class("wrong-digest", Trouble::WrongDigest, Place::Manifests),
    class("no-port", Trouble::NoPort, Place::All),
    class("clog", Trouble::Clog, Place::All),
    class("slow", Trouble::Slow(50), Place::All),
    class("token-401", Trouble::Status(401), Place::Tokens),
    class(
        "token-429",
        Trouble::Throttled(Throttle::Seconds(20)),
        Place::Tokens,
    ),
    class("token-503", Trouble::Status(503), Place::Tokens),
];

/// How often one class strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drawn {
    /// Index in [`CLASSES`].
    pub class: usize,
    /// Of a million requests, while its window is on.
    pub per_million: u32,
    /// Least time for which it is on, in seconds; 0 is always.
    pub on_s_min: u32,
    /// Least time for which it is off, in seconds; 0 is never.
    pub off_s_min: u32,
}

/// The registry faults of a run.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct RegistryFaults {
    /// The classes that are on.
    pub drawn: Vec<Drawn>,
    /// Of a million cancelled requests, how many are answered later by the registry all the same.
    pub late: u32,
}

impl RegistryFaults {
    /// Switches classes on, each with the same chance that is drawn for the run, with wildly different
    /// weights; half of them in windows.
    pub fn draw(entropy: &mut Entropy) -> Self {
        let share = [0, 40_000, 120_000, 300_000][entropy.index(4)];
        let drawn = (0..CLASSES.len())
            .filter_map(|class| {
                let is_on = entropy.chance(share);
                let one = Drawn::draw(entropy, class);
                is_on.then_some(one)
            })
            .collect();
        let late = [0, 0, 100_000, 1_000_000][entropy.index(4)];
        Self { drawn, late }
    }

    /// Exactly one class: a failure is readable.
    pub fn draw_single(entropy: &mut Entropy) -> Self {
        let class = entropy.index(CLASSES.len());
        Self {
            drawn: vec![Drawn::draw(entropy, class)],
            late: 0,
        }
    }

    /// True when nothing is on.
    pub fn is_none(&self) -> bool {
        self.drawn.is_empty() && self.late == 0
    }

    /// True when the class with this name is on.
    pub fn has(&self, name: &str) -> bool {
        self.drawn
            .iter()
            .any(|drawn| CLASSES[drawn.class].name == name)
    }
}

impl Drawn {
    fn draw(entropy: &mut Entropy, class: usize) -> Self {
        let per_million = [1_000, 30_000, 300_000, 1_000_000][entropy.index(4)];
        let has_windows = entropy.chance(500_000) || per_million == 1_000_000;
        let on_s_min = [5, 60, 300][entropy.index(3)];
        let off_s_min = [60, 300, 900][entropy.index(3)];
        Self {
            class,
            per_million,
            on_s_min: if has_windows { on_s_min } else { 0 },
            off_s_min: if has_windows { off_s_min } else { 0 },
        }
    }
}
