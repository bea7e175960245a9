//! Everything that defines a run, derived from one seed and printable as one page.

use std::fmt;
use std::time::Duration;

use crate::entropy::{Entropy, Stream};
use crate::fault::RegistryFaults;

/// The options of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "options are switches")]
pub struct Options {
    /// Everything else is derived from it.
    pub seed: u64,
    /// Applications at the start.
    pub apps: u32,
    /// Virtual time of the phase with workload and faults.
    pub horizon: Duration,
    /// Which faults may happen.
    pub profile: Profile,
    /// Registries.
    pub registries: u32,
    /// Repositories over all registries.
    pub repositories: u32,
    /// Tags in each repository at the start.
    pub tags: u32,
    /// Seconds between two checks of one application.
    pub interval: Duration,
    /// Cycles instead of a clock per application.
    pub cycle: bool,
    /// The scheduling policy.
    pub policy: Policy,
    /// `--max-concurrency`; 0 is automatic.
    pub concurrency_max: u32,
    /// `--per-repo-cap`; 0 is unlimited.
    pub per_repo_cap: u32,
    /// `--cooldown`.
    pub cooldown: Duration,
    /// Actions of the workload per virtual hour.
    pub actions_per_hour: u32,
    /// Faults, drawn per operation.
    pub faults: Faults,
    /// Faults of registries, by class and window.
    pub registry_faults: RegistryFaults,
    /// Git repositories that applications are written to; without any, all are patched.
    pub git: u32,
    /// Faults of Git servers.
    pub git_faults: GitFaults,
    /// Some registries want to know who asks, some applications have pull secrets, passwords change.
    pub logins: bool,
    /// How long tokens live, in seconds.
    pub token_ttl_s: u32,
    /// Requests per second to each registry; 0 is unlimited.
    pub rate: u32,
    /// With the pass before the loop.
    pub warmup: bool,
    /// Latencies are drawn per registry and application instead of from one stream, so that what
    /// happens at one registry moves nothing at another.
    pub split: bool,
    /// A bug that the run must find.
    pub planted: Option<Planted>,
    /// How many last lines of the trace a report shows; no part of what happens.
    pub lines_max: usize,
}

/// Which faults a run may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// None: the run must show perfect service.
    Faultless,
    /// A random subset with random weights.
    Swarm,
    /// One class of registry faults and nothing else: failures are readable.
    Single,
}

/// The scheduling policy, as options name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// `default`
    Default,
    /// `lru`
    Lru,
    /// `fail-first`
    FailFirst,
}

/// Probabilities per million operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Faults {
    /// A registry answers 500, 502 or 503.
    pub server_error: u32,
    /// A registry answers 429 with `Retry-After`.
    pub throttled: u32,
    /// An answer takes very long.
    pub stall: u32,
    /// An answer does not come until the operation is cancelled.
    pub hang: u32,
    /// A connection ends before the response is whole.
    pub reset: u32,
    /// The body of a tag page is cut off.
    pub truncated: u32,
    /// A patch is applied and its reply is lost.
    pub patch_reply_lost: u32,
    /// A completion is delivered twice.
    pub doubled: u32,
    /// A completion never comes, not even after a cancel: a broken driver.
    pub lost: u32,
    /// Per virtual hour: the watch begins anew.
    pub watch_resets_per_hour: u32,
    /// Per virtual day: the process ends and starts with empty memory.
    pub restarts_per_day: u32,
}

/// Faults of Git servers, per million requests or pushes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct GitFaults {
    /// Somebody else is faster with a push.
    pub moved_first: u32,
    /// A hook declines a push.
    pub hook: u32,
    /// A push is applied and its reply is lost.
    pub reply_lost: u32,
    /// A push is not applied and its reply is lost.
    pub refused_lost: u32,
    /// The reply of a push is lost, and it is applied later.
    pub late: u32,
    /// The web server answers 503.
    pub status: u32,
    /// The connection ends, before or after the request arrived.
    pub reset: u32,
    /// An answer does not come until the attempt is cancelled.
    pub hang: u32,
}

/// Lines of the trace that a report shows unless it is asked for more.
const LINES_MAX: usize = 40;

/// Bugs that are planted to see whether the checks bite. Each is a lie of the harness between core and
/// world, so that the production core carries no test code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planted {
    /// A started check is started a second time (S1).
    DoubleCheck,
    /// A stale tag list is served as if it were fresh, once something newer was written (S10).
    StaleListing,
    /// One application never learns that it is due (L2).
    ForgottenApp,
    /// A commit changes a file that no application asked for (S8).
    StrayEdit,
}

impl Planted {
    /// The invariant that it breaks.
    pub const fn invariant(self) -> &'static str {
        match self {
            Self::DoubleCheck => "S1",
            Self::StaleListing => "S10",
            Self::ForgottenApp => "L2",
            Self::StrayEdit => "S8",
        }
    }

    /// The planted bug that `name` (an invariant id) asks for.
    pub fn from_invariant(name: &str) -> Option<Self> {
        match name {
            "S1" => Some(Self::DoubleCheck),
            "S10" => Some(Self::StaleListing),
            "L2" => Some(Self::ForgottenApp),
            "S8" => Some(Self::StrayEdit),
            _ => None,
        }
    }
}

impl Options {
    /// A small world of one hour without faults: a start for runs that are put together by hand.
    pub fn quiet(seed: u64) -> Self {
        Self {
            seed,
            apps: 12,
            horizon: Duration::from_hours(1),
            profile: Profile::Faultless,
            registries: 2,
            repositories: 6,
            tags: 8,
            interval: Duration::from_mins(1),
            cycle: false,
            policy: Policy::Default,
            concurrency_max: 10,
            per_repo_cap: 0,
            cooldown: Duration::ZERO,
            actions_per_hour: 60,
            faults: Faults::default(),
            registry_faults: RegistryFaults::default(),
            git: 0,
            git_faults: GitFaults::default(),
            logins: false,
            token_ttl_s: 300,
            rate: 0,
            warmup: true,
            split: false,
            planted: None,
            lines_max: LINES_MAX,
        }
    }

    /// True when nothing goes wrong in the run.
    pub fn is_faultless(&self) -> bool {
        self.faults == Faults::default()
            && self.registry_faults.is_none()
            && self.git_faults == GitFaults::default()
    }

    /// Derives a run from `seed`. `apps` and `hours` replace what the seed would choose.
    ///
    /// # Panics
    /// Never: what is drawn is small.
    pub fn derive(seed: u64, profile: Profile, apps: Option<u32>, hours: Option<u32>) -> Self {
        let mut entropy = Entropy::new(seed, Stream::Options);
        // Half of the runs are small, so that failures are readable; a few are large.
        let drawn = match entropy.pick(&[50, 35, 15]) {
            0 => entropy.between(1, 20),
            1 => entropy.between(20, 200),
            _ => entropy.between(200, 1000),
        };
        let apps = apps.unwrap_or_else(|| u32::try_from(drawn).expect("a small number"));
        let count = |entropy: &mut Entropy, low, high| {
            u32::try_from(entropy.between(low, high)).expect("a small number")
        };
        let registries = count(&mut entropy, 1, 6);
        let share = count(&mut entropy, 1, 5);
        let repositories = (apps / share).clamp(registries, 5000);
        let tags = count(&mut entropy, 3, 40);
        let interval = [10, 60, 120, 300][entropy.index(4)];
        let hours = hours.unwrap_or_else(|| count(&mut entropy, 1, 4));
        let policy = [Policy::Default, Policy::Lru, Policy::FailFirst][entropy.index(3)];
        let concurrency_max = [0, 1, 2, 10, 10, 50][entropy.index(6)];
        let per_repo_cap = [0, 0, 0, 1, 5][entropy.index(5)];
        let cooldown = [0, 0, 0, 30, 600][entropy.index(5)];
        let cycle = entropy.chance(250_000);
        let actions_per_hour = [10, 60, 300][entropy.index(3)];
        let faults = match profile {
            Profile::Faultless | Profile::Single => Faults::default(),
            Profile::Swarm => Faults::draw(&mut entropy),
        };
        // What came later is drawn from a stream of its own: the rest of a seed stays as it was.
        let mut entropy = Entropy::new(seed, Stream::RegistryOptions);
        let logins = entropy.chance(500_000);
        let token_ttl_s = [300, 300, 60, 3_600][entropy.index(4)];
        let rate = [0, 0, 20, 5][entropy.index(4)];
        // A rate that the fleet cannot live with is another run's affair.
        let rate = if apps <= 100 && interval >= 60 {
            rate
        } else {
            0
        };
        let registry_faults = match profile {
            Profile::Faultless => RegistryFaults::default(),
            Profile::Swarm => RegistryFaults::draw(&mut entropy),
            Profile::Single => RegistryFaults::draw_single(&mut entropy),
        };
        let mut entropy = Entropy::new(seed, Stream::GitOptions);
        let git = [0, 0, 1, 2, 5][entropy.index(5)];
        let git_faults = match profile {
            Profile::Faultless | Profile::Single => GitFaults::default(),
            Profile::Swarm => GitFaults::draw(&mut entropy),
        };
        Self {
            seed,
            apps,
            git,
            git_faults,
            horizon: Duration::from_secs(u64::from(hours) * 3600),
            profile,
            registries,
            repositories,
            tags,
            interval: Duration::from_secs(interval),
            cycle,
            policy,
            concurrency_max,
            per_repo_cap,
            cooldown: Duration::from_secs(cooldown),
            actions_per_hour,
            faults,
            registry_faults,
            logins,
            token_ttl_s,
            rate,
            warmup: true,
            split: true,
            planted: None,
            lines_max: LINES_MAX,
        }
    }

    /// Plants a bug, in a world that lets it show: without faults that hide it, and with the settings
    /// under which its invariant is claimed.
    pub fn plant(&mut self, planted: Planted) {
        self.planted = Some(planted);
        self.faults = Faults::default();
        self.registry_faults = RegistryFaults::default();
        self.git_faults = GitFaults::default();
        self.profile = Profile::Faultless;
        self.cycle = false;
        self.policy = Policy::Default;
        self.per_repo_cap = 0;
        self.cooldown = Duration::ZERO;
        if planted == Planted::StrayEdit {
            self.git = self.git.max(1);
        }
        if planted == Planted::ForgottenApp {
            // One slot for many: then others pass by long before the dispatch bound (L1) is over.
            self.apps = self.apps.clamp(40, 50);
            self.repositories = 10;
            self.interval = Duration::from_secs(10);
            self.concurrency_max = 1;
        }
    }

    /// A number that differs when any option differs.
    pub fn hash(&self) -> u64 {
        self.to_string()
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
            })
    }
}

/// Switches a class of faults on with a chance of one third, with one of these weights.
fn class(entropy: &mut Entropy, weights: [u32; 3]) -> u32 {
    if entropy.chance(333_333) {
        weights[entropy.index(3)]
    } else {
        0
    }
}

impl Faults {
    /// Switches each class on with a chance of one third, with wildly different weights.
    fn draw(entropy: &mut Entropy) -> Self {
        let mut class = |weights| class(entropy, weights);
        Self {
            server_error: class([1_000, 20_000, 300_000]),
            throttled: class([1_000, 10_000, 100_000]),
            stall: class([1_000, 10_000, 50_000]),
            hang: class([100, 2_000, 20_000]),
            reset: class([1_000, 20_000, 200_000]),
            truncated: class([1_000, 20_000, 100_000]),
            patch_reply_lost: class([10_000, 100_000, 400_000]),
            doubled: class([1_000, 50_000, 500_000]),
            lost: class([10, 100, 1_000]),
            watch_resets_per_hour: class([1, 4, 30]),
            restarts_per_day: class([2, 12, 48]),
        }
    }
}

impl GitFaults {
    /// Switches each class on with a chance of one third, with wildly different weights.
    fn draw(entropy: &mut Entropy) -> Self {
        let mut class = |weights| class(entropy, weights);
        Self {
            moved_first: class([10_000, 100_000, 600_000]),
            hook: class([1_000, 20_000, 200_000]),
            reply_lost: class([10_000, 100_000, 500_000]),
            refused_lost: class([10_000, 100_000, 500_000]),
            late: class([10_000, 100_000, 500_000]),
            status: class([1_000, 20_000, 200_000]),
            reset: class([1_000, 20_000, 200_000]),
            hang: class([100, 2_000, 20_000]),
        }
    }
}

impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "seed {:#018x}, profile {:?}, planted {:?}",
            self.seed, self.profile, self.planted
        )?;
        writeln!(
            f,
            "apps {}, registries {}, repositories {}, tags {}, horizon {:?}, actions/h {}",
            self.apps,
            self.registries,
            self.repositories,
            self.tags,
            self.horizon,
            self.actions_per_hour
        )?;
        writeln!(
            f,
            "cycle {}, interval {:?}, policy {:?}, concurrency {}, cap {}, cooldown {:?}",
            self.cycle,
            self.interval,
            self.policy,
            self.concurrency_max,
            self.per_repo_cap,
            self.cooldown
        )?;
        writeln!(
            f,
            "logins {}, token life {} s, rate {}, split {}",
            self.logins, self.token_ttl_s, self.rate, self.split
        )?;
        writeln!(f, "{:?} {:?}", self.faults, self.registry_faults)?;
        write!(f, "git {} {:?}", self.git, self.git_faults)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_follow_from_the_seed_alone() {
        let derive = |seed| Options::derive(seed, Profile::Swarm, None, None);
        assert_eq!(derive(3), derive(3));
        assert_ne!(derive(3).hash(), derive(4).hash());
        let fixed = Options::derive(3, Profile::Faultless, Some(17), Some(2));
        assert_eq!((fixed.apps, fixed.horizon), (17, Duration::from_hours(2)));
        assert_eq!(fixed.faults, Faults::default());
    }
}
