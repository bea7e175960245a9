//! A large fleet in steady state, for figures: the production core, the fake world, constant delays, no
//! faults and no checks; only the time spent inside the core is counted.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::time::{Duration, Instant};

use image_updater_core::Updater;
use image_updater_core::credential::CredentialOutcome;
use image_updater_core::effect::{ClusterEffect, Effect};
use image_updater_core::http::HttpOutcome;
use image_updater_core::input::{ClusterInput, Input, PatchOutcome, ReadOutcome};
use image_updater_core::keyed::Seed;
use image_updater_core::time::{Now, Time};
use image_updater_fixtures::Request;
use image_updater_fixtures::cluster::{ChangeKind, Refusal};

use crate::fault::RegistryFaults;
use crate::options::{Faults, GitFaults, Options, Policy, Profile};
use crate::settings;
use crate::traffic::Traffic;
use crate::workload::{
    Access, Action, AppModel, ImageModel, ImagePolicy, Plan, RegistryModel, RepoModel, Version,
};
use crate::world::{PAGE_TAGS, PAGE_TAGS_MAX, TOKEN_SECS, World, wall, wants_tokens};

/// How long a request takes to its registry, and its answer back.
const HALF_WAY_HTTP: Duration = Duration::from_millis(25);
/// How long a patch takes to the API server, and its answer back.
const HALF_WAY_CLUSTER: Duration = Duration::from_millis(10);
/// How long a change takes until the watch reports it.
const WATCH_DELAY: Duration = Duration::from_millis(10);
/// How long Argo CD takes to sync a patched application.
const SYNC_DELAY: Duration = Duration::from_secs(3);

/// How large a fleet is.
#[derive(Clone, Copy, Debug)]
pub struct FleetSize {
    /// Applications, one image each.
    pub applications: u32,
    /// Repositories.
    pub repositories: u32,
    /// Tags in each of them.
    pub tags: u32,
    /// Applications that share the first repository.
    pub sharing: u32,
    /// Between two checks of an application, and between two listings of a repository.
    pub interval: Duration,
    /// How all of them choose; versions where it is `None`, some bound to a series.
    pub policy: Option<ImagePolicy>,
}

/// A fleet under way.
#[derive(Debug)]
pub struct Fleet {
    /// The production core.
    pub core: Updater,
    world: World,
    size: FleetSize,
    now: Time,
    heap: BinaryHeap<Reverse<(Time, u64)>>,
    steps: BTreeMap<u64, Step>,
    next_seq: u64,
    wake: Option<Time>,
    watched: u64,
    newest: Version,
    in_core: Duration,
    /// Listings of the first repository that ended in the core: when.
    shared_listings: Vec<Time>,
    last_patch: Time,
    patches: u64,
    traffic: Traffic,
}

#[derive(Debug)]
enum Step {
    Wake,
    Watch,
    Sync(String),
    Input(Box<Input>),
    Serve(Box<Effect>),
}

/// What one pushed tag led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FanOut {
    /// Listings of the repository until the last patch.
    pub listings: u64,
    /// From the end of the last of them to the last patch.
    pub elapsed: Duration,
    /// Patches sent.
    pub patches: u64,
}

impl Fleet {
    /// A fleet whose process has just started.
    ///
    /// # Errors
    /// What the core does not accept of the settings.
    pub fn new(size: FleetSize) -> Result<Self, String> {
        let plan = plan(size);
        let now = Time::ZERO;
        let clock = Now {
            mono: now,
            wall: wall(now),
        };
        let mut fleet = Self {
            core: Updater::new(settings::config(&options(size), &plan)?, Seed(1), clock),
            world: World::new(&plan),
            size,
            now,
            heap: BinaryHeap::new(),
            steps: BTreeMap::new(),
            next_seq: 0,
            wake: None,
            watched: 0,
            newest: plan.repos[0].newest,
            in_core: Duration::ZERO,
            shared_listings: Vec::new(),
            last_patch: now,
            patches: 0,
            traffic: Traffic::default(),
        };
        fleet.list();
        Ok(fleet)
    }

    /// Lets virtual time pass; returns how long the core itself was at work.
    pub fn run(&mut self, duration: Duration) -> Duration {
        let end = self.now.after(duration);
        let before = self.in_core;
        while let Some(Reverse((at, seq))) = self.heap.peek().copied()
            && at <= end
        {
            self.heap.pop();
            self.now = at;
            if let Some(step) = self.steps.remove(&seq) {
                self.take(step);
            }
        }
        self.now = end;
        self.in_core.saturating_sub(before)
    }

    /// What registries were asked so far.
    pub fn traffic(&self) -> Traffic {
        self.traffic
    }

    /// The number of the registry that holds a repository.
    pub fn registry_of(&self, repository: u32) -> usize {
        registry_of(repository)
    }

    /// Pushes a tag to the first repository and waits until it is everywhere.
    pub fn fan_out(&mut self) -> FanOut {
        self.newest.2 += 1;
        self.shared_listings.clear();
        self.patches = 0;
        self.world.act(self.now, &Action::Push(0, self.newest));
        let wanted = u64::from(self.size.sharing);
        // Three intervals are far more than one listing and its patches need.
        for _ in 0..self.size.interval.as_secs() * 30 {
            if self.patches >= wanted {
                break;
            }
            self.run(Duration::from_millis(100));
        }
        let until_last = self
            .shared_listings
            .iter()
            .filter(|at| **at <= self.last_patch);
        let listing = until_last
            .clone()
            .next_back()
            .copied()
            .unwrap_or(self.last_patch);
        FanOut {
            listings: u64::try_from(until_last.count()).unwrap_or(u64::MAX),
            elapsed: self.last_patch.since(listing),
            patches: self.patches,
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Wake => {
                if self.wake.is_some_and(|at| at <= self.now) {
                    self.wake = None;
                    self.turn(Updater::handle_timeout);
                }
            }
            Step::Input(input) => self.turn(move |core, now| core.handle_input(now, *input)),
            Step::Serve(effect) => self.serve(*effect),
            Step::Sync(name) => {
                self.world.sync(&name);
                self.push(WATCH_DELAY, Step::Watch);
            }
            Step::Watch => self.report_changes(),
        }
    }

    /// One turn of a driver: a call, then the polls. Only this is time of the core.
    fn turn(&mut self, call: impl FnOnce(&mut Updater, Now)) {
        let clock = Now {
            mono: self.now,
            wall: wall(self.now),
        };
        let mut effects = Vec::new();
        let core = &mut self.core;
        let (wakeup, elapsed) = timed(|| {
            call(core, clock);
            while let Some(effect) = core.poll_effect() {
                effects.push(effect);
            }
            while core.poll_event().is_some() {}
            core.poll_timeout()
        });
        self.in_core += elapsed;
        for effect in effects {
            let delay = match &effect {
                Effect::Http(..) => HALF_WAY_HTTP,
                Effect::Cluster(..) => HALF_WAY_CLUSTER,
                Effect::ReadCredential(..) | Effect::Git(..) | Effect::Cancel(_) => Duration::ZERO,
            };
            self.push(delay, Step::Serve(Box::new(effect)));
        }
        if let Some(wakeup) = wakeup
            && self.wake.is_none_or(|known| wakeup.at < known)
        {
            self.wake = Some(wakeup.at);
            self.push(wakeup.at.since(self.now), Step::Wake);
        }
    }

    fn serve(&mut self, effect: Effect) {
        match effect {
            Effect::Http(op, request) => {
                let asked = Request::from_core(&request).expect("the core asks absolute URLs");
                self.traffic.count(&asked);
                let registry = self.world.registries.get_mut(&asked.host);
                let registry = registry.expect("the core asks the registries of its settings");
                let response = registry.handle(self.now, wall(self.now), &asked);
                let is_last = !response.headers.iter().any(|(name, _)| name == "link");
                if asked.path() == "/v2/org/repo-0/tags/list" && response.status == 200 && is_last {
                    self.shared_listings.push(self.now.after(HALF_WAY_HTTP));
                }
                let outcome = HttpOutcome::Response(response.into_core(asked.method == "HEAD"));
                self.push(
                    HALF_WAY_HTTP,
                    Step::Input(Box::new(Input::Http(op, outcome))),
                );
            }
            Effect::Cluster(op, ClusterEffect::Patch(patch)) => {
                let (namespace, name) = (&*patch.key.namespace, &*patch.key.name);
                let outcome = match self.world.cluster.patch(namespace, name, &patch.to_json()) {
                    Ok(object) => {
                        self.patches += 1;
                        self.last_patch = self.now;
                        self.push(SYNC_DELAY, Step::Sync(name.to_owned()));
                        PatchOutcome::Done(Box::new(World::record(&object)))
                    }
                    Err(Refusal::Missing) => PatchOutcome::Missing,
                    Err(Refusal::Conflict) => PatchOutcome::Conflict,
                    Err(Refusal::Gone) => PatchOutcome::Transient("gone".to_owned()),
                    Err(Refusal::Unprocessable(text)) => PatchOutcome::Rejected(text),
                };
                self.push(WATCH_DELAY, Step::Watch);
                let input = Input::Cluster(ClusterInput::Patched(op, outcome));
                self.push(HALF_WAY_CLUSTER, Step::Input(Box::new(input)));
            }
            Effect::Cluster(op, ClusterEffect::Read { key, .. }) => {
                let object = self.world.cluster.application(&key.namespace, &key.name);
                let outcome = object.map_or(ReadOutcome::Missing, |object| {
                    ReadOutcome::Found(Box::new(World::record(object)))
                });
                let input = Input::Cluster(ClusterInput::Read(op, outcome));
                self.push(HALF_WAY_CLUSTER, Step::Input(Box::new(input)));
            }
            Effect::ReadCredential(op, source) => {
                let outcome = CredentialOutcome::Missing(format!("{source:?} is not here"));
                let input = Input::Credential(op, outcome);
                self.push(HALF_WAY_CLUSTER, Step::Input(Box::new(input)));
            }
            Effect::Git(..) => unreachable!("the settings of a fleet ask for no commits"),
            // Everything answers in time here: there is nothing to give up.
            Effect::Cancel(_) => {}
        }
    }

    fn list(&mut self) {
        let begun = Input::Cluster(ClusterInput::ResetBegun);
        self.push(Duration::ZERO, Step::Input(Box::new(begun)));
        let objects: Vec<_> = self.world.cluster.applications().cloned().collect();
        for object in objects {
            let record = Box::new(World::record(&object));
            let input = Input::Cluster(ClusterInput::Applied(record));
            self.push(Duration::ZERO, Step::Input(Box::new(input)));
        }
        let done = Input::Cluster(ClusterInput::ResetDone);
        self.push(Duration::ZERO, Step::Input(Box::new(done)));
        self.watched = self.world.cluster.version();
    }

    fn report_changes(&mut self) {
        let changes = self.world.cluster.changes_since(self.watched);
        let changes = changes.expect("the history holds what was not reported yet");
        let mut inputs = Vec::new();
        for change in changes {
            self.watched = change.version;
            let record = World::record(&change.object);
            inputs.push(Input::Cluster(match change.kind {
                ChangeKind::Deleted => ClusterInput::Deleted(record.key),
                ChangeKind::Added | ChangeKind::Modified => ClusterInput::Applied(Box::new(record)),
            }));
        }
        for input in inputs {
            self.turn(move |core, now| core.handle_input(now, input));
        }
    }

    fn push(&mut self, delay: Duration, step: Step) {
        let seq = self.next_seq;
        self.next_seq += 1;
        self.heap.push(Reverse((self.now.after(delay), seq)));
        self.steps.insert(seq, step);
    }
}

#[expect(clippy::disallowed_methods, reason = "a report that measures")]
fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let begun = Instant::now();
    let result = work();
    (result, begun.elapsed())
}

fn options(size: FleetSize) -> Options {
    Options {
        seed: 1,
        apps: size.applications,
        horizon: Duration::ZERO,
        profile: Profile::Faultless,
        registries: REGISTRIES,
        repositories: size.repositories,
        tags: size.tags,
        interval: size.interval,
        cycle: false,
        policy: Policy::Default,
        concurrency_max: 0,
        per_repo_cap: 0,
        cooldown: Duration::ZERO,
        actions_per_hour: 0,
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
        lines_max: 0,
    }
}

/// Registries over which the repositories are spread.
const REGISTRIES: u32 = 10;

fn registry_of(repository: u32) -> usize {
    usize::try_from(repository % REGISTRIES).expect("a small number")
}

/// Every other registry wants tokens, and gives them to everybody.
fn registry(idx: u32) -> RegistryModel {
    let access = if wants_tokens(usize::try_from(idx).expect("a small number")) {
        Access::Bearer {
            logins: Vec::new(),
            ttl_s: TOKEN_SECS,
        }
    } else {
        Access::Open
    };
    RegistryModel {
        access,
        page_tags: PAGE_TAGS,
        page_tags_max: PAGE_TAGS_MAX,
        rate: None,
        login: None,
    }
}

/// The fleet: the first applications share the first repository, the others are spread evenly.
fn plan(size: FleetSize) -> Plan {
    let repos: Vec<RepoModel> = (0..size.repositories)
        .map(|idx| {
            let versions: Vec<Version> = (0..u64::from(size.tags.max(2)) - 1)
                .map(|n| (1 + n / 100, n / 10 % 10, n % 10))
                .collect();
            RepoModel {
                registry: registry_of(idx),
                name: format!("org/repo-{idx}"),
                newest: *versions.last().expect("there is one version at least"),
                versions,
            }
        })
        .collect();
    let apps = (0..size.applications)
        .map(|idx| {
            let repo = if idx < size.sharing || repos.len() < 2 {
                0
            } else {
                1 + usize::try_from(idx).expect("a small number") % (repos.len() - 1)
            };
            // All who share follow the newest version; of the others some are bound to a series.
            let policy = match (size.policy, idx % 4) {
                (Some(policy), _) => policy,
                (None, 3) if repo != 0 => ImagePolicy::Minor(1, 0),
                (None, _) => ImagePolicy::Any,
            };
            AppModel {
                name: format!("app-{idx}"),
                kustomize: idx % 5 < 2,
                images: vec![ImageModel {
                    repo,
                    policy,
                    login: None,
                }],
                git: None,
            }
        })
        .collect();
    Plan {
        registries: (0..REGISTRIES).map(registry).collect(),
        logins: Vec::new(),
        apps,
        absent: BTreeSet::new(),
        repos,
        git: 0,
        actions: Vec::new(),
    }
}
