//! The loop: one heap of timed steps, one core, one world; virtual time jumps from step to step.
//!
//! The engine is the simulator's driver. It keeps the same turn order as the production driver: hand
//! over what is due, drain the effects into the world, drain the events into the observers, re-arm.

mod git;
mod serve;
mod watch;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use image_updater_core::effect::ClusterEffect;
use image_updater_core::git::{ChannelEnd, ChannelId, Known};
use image_updater_core::http::HttpRequest;
use image_updater_core::id::{AppKey, OpId};
use image_updater_core::input::Input;
use image_updater_core::keyed::Seed;
use image_updater_core::time::{Now, Time, WakeReason};
use image_updater_core::{Config, Updater};
use image_updater_fixtures::Response;

use crate::checks::{self, Observers, Violation};
use crate::entropy::{Entropy, Stream};
use crate::fault::Troubles;
use crate::options::Options;
use crate::trace::Trace;
use crate::workload::{Action, Plan};
use crate::world::{NAMESPACE, World, wall};

/// Most calls into the core at one instant (S15).
const STEPS_PER_INSTANT_MAX: u32 = 20_000;

/// One run in progress.
pub struct Engine {
    /// What is run.
    pub options: Options,
    /// The production core.
    pub core: Updater,
    /// The fake world.
    pub world: World,
    /// What was seen so far.
    pub trace: Trace,
    /// The checks, fed from the world's side.
    pub observers: Observers,
    /// Steps taken.
    pub steps: u64,
    /// Faults injected so far, by class.
    pub injected: BTreeMap<&'static str, u64>,
    plan: Plan,
    config: Config,
    now: Time,
    heap: BinaryHeap<Reverse<Timed>>,
    next_seq: u64,
    generation: u32,
    ops: BTreeMap<OpId, Op>,
    watch: Watch,
    wake: Option<Time>,
    latency: Entropy,
    /// Latencies by registry and application, where they are split.
    latencies: BTreeMap<String, Entropy>,
    faults: Entropy,
    troubles: Troubles,
    late: Entropy,
    git_ops: BTreeMap<OpId, git::GitOp>,
    /// What earlier attempts left, by repository and branch.
    known: BTreeMap<String, Known>,
    git_entropy: Entropy,
    faulty: bool,
    at_instant: u32,
}

/// Something that is going to happen.
#[derive(Debug)]
struct Timed {
    at: Time,
    seq: u64,
    step: Step,
}

impl PartialEq for Timed {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.seq) == (other.at, other.seq)
    }
}

impl Eq for Timed {}

impl PartialOrd for Timed {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Timed {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.seq).cmp(&(other.at, other.seq))
    }
}

#[derive(Debug)]
enum Step {
    /// The next action of the plan.
    Act(usize),
    /// A request reaches its registry.
    Arrive {
        generation: u32,
        op: OpId,
        request: Box<HttpRequest>,
    },
    /// A request reaches its registry late, if it was not given up meanwhile.
    ArriveLate {
        generation: u32,
        op: OpId,
        request: Box<HttpRequest>,
    },
    /// A patch or a read reaches the API server.
    ArriveCluster {
        generation: u32,
        op: OpId,
        effect: Box<ClusterEffect>,
    },
    /// A request reaches a Git server, whatever became of its sender.
    GitArrive(Box<git::GitRequest>),
    /// The answer of a Git server reaches its attempt.
    GitReply {
        generation: u32,
        op: OpId,
        channel: ChannelId,
        response: Box<Response>,
    },
    /// A channel to a Git server ends without an answer.
    GitEnd {
        generation: u32,
        op: OpId,
        channel: ChannelId,
        end: ChannelEnd,
    },
    /// An input reaches the core.
    Deliver {
        generation: u32,
        input: Box<Input>,
        op: Option<OpId>,
    },
    /// The watch has something to report.
    Watch { generation: u32 },
    /// Argo CD syncs an application.
    Sync(String),
    /// The core wanted to be woken.
    Wake { generation: u32 },
}

/// An effect that was started and not yet answered.
#[derive(Debug)]
struct Op {
    host: Option<String>,
    /// Which way it goes: latencies are drawn by it.
    way: String,
    /// Nothing is scheduled for it: only a cancel brings its answer.
    hanging: bool,
    /// A broken driver: no answer ever comes.
    lost: bool,
    /// Its reply is lost after it was applied.
    reply_lost: bool,
    /// What it asks, while it may be answered late.
    request: Option<Box<HttpRequest>>,
}

impl Op {
    fn new(way: String) -> Self {
        Self {
            host: None,
            way,
            hanging: false,
            lost: false,
            reply_lost: false,
            request: None,
        }
    }
}

#[derive(Debug)]
struct Watch {
    /// The version up to which the core has been told.
    reached: u64,
    polled: bool,
    /// Nothing passes before this time: events stay in order.
    last_delivery: Time,
}

impl Engine {
    /// A run of `plan`, ready to start.
    pub fn new(options: Options, plan: Plan, config: Config) -> Self {
        let now = Now {
            mono: Time::ZERO,
            wall: wall(Time::ZERO),
        };
        let world = World::new(&plan);
        let seed = Entropy::new(options.seed, Stream::Core).bits();
        let mut engine = Self {
            core: Updater::new(config.clone(), Seed(seed), now),
            observers: Observers::new(&options, &plan),
            world,
            trace: Trace::new(options.lines_max),
            steps: 0,
            injected: BTreeMap::new(),
            config,
            now: Time::ZERO,
            heap: BinaryHeap::new(),
            next_seq: 0,
            generation: 0,
            ops: BTreeMap::new(),
            watch: Watch {
                reached: 0,
                polled: false,
                last_delivery: Time::ZERO,
            },
            wake: None,
            latency: Entropy::new(options.seed, Stream::Latency),
            latencies: BTreeMap::new(),
            faults: Entropy::new(options.seed, Stream::Faults),
            troubles: Troubles::new(options.seed, &options.registry_faults),
            late: Entropy::keyed(options.seed, Stream::RegistryFaults, "late"),
            git_ops: BTreeMap::new(),
            known: BTreeMap::new(),
            git_entropy: Entropy::new(options.seed, Stream::GitFaults),
            faulty: true,
            at_instant: 0,
            options,
            plan,
        };
        if let Some((at, _)) = engine.plan.actions.first() {
            engine.push(*at, Step::Act(0));
        }
        engine.start_watch();
        engine
    }

    /// A core with the settings of this run that was told nothing.
    pub fn fresh_core(&self) -> Updater {
        Updater::new(self.config.clone(), Seed(0), self.clock())
    }

    /// Virtual time.
    pub const fn now(&self) -> Time {
        self.now
    }

    /// Ends the faults: from now on everything answers.
    pub fn heal(&mut self) {
        self.faulty = false;
        self.troubles.heal();
        self.world.git.heal();
    }

    /// Runs until `end`, or until a check fails. Steps over `steps_max` in all are a failure of their
    /// own: a run that does not come to its end is no success.
    pub fn run_until(&mut self, end: Time, steps_max: u64) -> Result<(), Violation> {
        loop {
            let due = self
                .heap
                .peek()
                .map(|Reverse(timed)| timed.at)
                .filter(|at| *at <= end);
            let Some(at) = due else { break };
            self.steps += 1;
            if self.steps > steps_max {
                return Err(Violation::new(
                    "step-limit",
                    "run",
                    format!("{steps_max} steps taken"),
                ));
            }
            if at == self.now {
                self.at_instant += 1;
                if self.at_instant > STEPS_PER_INSTANT_MAX {
                    return Err(Violation::new(
                        "S15",
                        "run",
                        "the core does not come to rest",
                    ));
                }
            } else {
                self.at_instant = 0;
            }
            self.now = at;
            let Some(Reverse(timed)) = self.heap.pop() else {
                break;
            };
            self.take(timed.step);
            self.observers.step(self.now, &self.core, self.steps)?;
        }
        self.now = self.now.max(end);
        Ok(())
    }

    /// Deletes all applications and delivers it at once: the start of the teardown.
    pub fn delete_all(&mut self) {
        for app in self.world.alive.clone() {
            let action = Action::Delete(app);
            self.observers.act(self.now, &action, &self.world);
            self.world.act(self.now, &action);
        }
        self.poll_watch_soon();
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Act(idx) => self.act(idx),
            Step::Arrive {
                generation,
                op,
                request,
            } if generation == self.generation => {
                self.serve(op, &request);
            }
            Step::ArriveLate {
                generation,
                op,
                request,
            } if generation == self.generation => self.serve_late(op, &request),
            Step::ArriveCluster {
                generation,
                op,
                effect,
            } if generation == self.generation => {
                self.serve_cluster(op, *effect);
            }
            Step::Deliver {
                generation,
                input,
                op,
            } if generation == self.generation => {
                self.deliver(*input, op);
            }
            Step::GitArrive(request) => self.arrive_git(*request),
            Step::GitReply {
                generation,
                op,
                channel,
                response,
            } if generation == self.generation => self.reply_git(op, channel, &response),
            Step::GitEnd {
                generation,
                op,
                channel,
                end,
            } if generation == self.generation => self.end_git(op, channel, &end),
            Step::Watch { generation } if generation == self.generation => self.report_changes(),
            Step::Sync(name) => {
                self.world.sync(&name);
                self.poll_watch_soon();
            }
            Step::Wake { generation } if generation == self.generation => {
                if self.wake.is_some_and(|at| at <= self.now) {
                    self.wake = None;
                    self.observers.woken();
                    self.core.handle_timeout(self.clock());
                    self.drain();
                }
            }
            Step::Arrive { .. }
            | Step::ArriveLate { .. }
            | Step::ArriveCluster { .. }
            | Step::GitReply { .. }
            | Step::GitEnd { .. }
            | Step::Deliver { .. }
            | Step::Watch { .. }
            | Step::Wake { .. } => {}
        }
    }

    fn act(&mut self, idx: usize) {
        let (_, action) = self.plan.actions[idx].clone();
        self.trace.line(self.now, "act", format_args!("{action:?}"));
        self.observers.act(self.now, &action, &self.world);
        let touched = self.world.act(self.now, &action);
        for app in touched {
            let name = self.world.apps[app].name.clone();
            self.sync_soon(&name);
        }
        match action {
            Action::Trouble(trouble) => {
                *self.injected.entry("scripted").or_default() += 1;
                self.troubles.begin(self.now, *trouble);
            }
            Action::WatchReset => self.start_watch(),
            Action::Restart => self.restart(),
            Action::Push(..)
            | Action::DeleteTag(..)
            | Action::EditPolicy(..)
            | Action::ForeignEdit(_)
            | Action::Delete(_)
            | Action::Create(_) => self.poll_watch_soon(),
            Action::Git(..) | Action::Rotate { .. } => {}
        }
        if let Some((at, _)) = self.plan.actions.get(idx + 1) {
            let at = *at;
            self.push(at, Step::Act(idx + 1));
        }
    }

    /// The process ends and starts anew: nothing that was under way reaches the new core.
    pub fn restart(&mut self) {
        *self.injected.entry("restart").or_default() += 1;
        self.generation += 1;
        self.ops.clear();
        self.git_ops.clear();
        self.known.clear();
        self.wake = None;
        // A look at the changes that was under way belongs to the process that ended.
        self.watch.polled = false;
        let seed =
            Entropy::new(self.options.seed ^ u64::from(self.generation), Stream::Core).bits();
        self.core = Updater::new(self.config.clone(), Seed(seed), self.clock());
        self.observers.restarted(self.now);
        self.start_watch();
    }

    fn deliver(&mut self, mut input: Input, op: Option<OpId>) {
        if let Some(op) = op {
            let doubled = self.fault("doubled", self.options.faults.doubled);
            let host = self.ops.remove(&op).and_then(|op| op.host);
            self.observers.completed(op, host.as_deref());
            self.observers.answered(self.now, op, &mut input);
            self.core.handle_input(self.clock(), input.clone());
            self.drain();
            if !doubled {
                return;
            }
            // Hashing walks everything: only small worlds are compared.
            let judged = self.options.apps <= 50;
            let before = judged.then(|| self.core.state_hash());
            self.core.handle_input(self.clock(), input);
            let after = judged.then(|| self.core.state_hash());
            self.observers.repeated(op, before == after);
            self.drain();
            return;
        }
        self.observers.told(self.now, &input);
        self.core.handle_input(self.clock(), input);
        self.drain();
    }

    /// Drains effects into the world and events into the observers, then re-arms the timer.
    fn drain(&mut self) {
        loop {
            // What has happened is told before what follows from it.
            while let Some(event) = self.core.poll_event() {
                self.trace
                    .line(self.now, "event", format_args!("{event:?}"));
                self.judge_last_line();
                self.observers.event(self.now, &event);
            }
            let Some(effect) = self.core.poll_effect() else {
                break;
            };
            self.start(effect);
        }
        let Some(wakeup) = self.core.poll_timeout() else {
            return;
        };
        let early =
            wakeup.at < self.now || (wakeup.at == self.now && wakeup.reason != WakeReason::Turn);
        self.observers.wakeup(self.now, wakeup, early);
        if self
            .wake
            .is_none_or(|known| wakeup.at < known || known < self.now)
        {
            self.wake = Some(wakeup.at);
            let generation = self.generation;
            self.push(wakeup.at.max(self.now), Step::Wake { generation });
        }
    }

    /// S19: what the core says of every application shows no secret.
    ///
    /// # Errors
    /// The application whose explanation does.
    pub fn explain_all(&self) -> Result<(), Violation> {
        for app in &self.world.alive {
            let key = AppKey::new(NAMESPACE, &*self.world.apps[*app].name);
            if let Some(explanation) = self.core.explain(&key) {
                checks::shown("explanation", &format!("{explanation:?}"))?;
            }
        }
        Ok(())
    }

    /// S19: the line that was just written shows no secret.
    fn judge_last_line(&mut self) {
        if self.options.logins
            && let Some(line) = self.trace.last()
        {
            self.observers.shown("trace", line);
        }
    }

    fn clock(&self) -> Now {
        Now {
            mono: self.now,
            wall: wall(self.now),
        }
    }

    fn push(&mut self, at: Time, step: Step) {
        let seq = self.next_seq;
        self.next_seq += 1;
        self.heap.push(Reverse(Timed { at, seq, step }));
    }
}
