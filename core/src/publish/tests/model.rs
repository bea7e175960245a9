//! The room against a naive model of repositories: whatever comes in whatever order, nothing is lost, doubled or
//! told before it is so.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::time::Duration;

use proptest::prelude::*;

use super::world::{Started, World, commit, refused};
use crate::fixed_cases::{CASES, config};
use crate::git::RefusalKind;
use crate::id::AppId;
use crate::publish::{BatchId, GitOutcome, IntentEnd, PublishEnd, PublishOutcome, PublishSettings};

/// Repositories and branches, two of which are the same one in another spelling.
const PLACES: [(&str, Option<&str>); 5] = [
    ("https://a.test/r", Some("main")),
    ("https://a.test/r", Some("dev")),
    ("git@a.test:r.git", Some("main")),
    ("https://b.test/r", None),
    ("https://b.test/r", Some("main")),
];

#[derive(Clone, Debug)]
enum Step {
    Want { app: u64, place: usize },
    Forget { app: u64 },
    Wait { millis: u64 },
    Answer { which: usize, how: How },
}

#[derive(Clone, Copy, Debug)]
enum How {
    Honest,
    AppliedReplyLost,
    LostAppliedLater,
    RefusedReplyLost,
    Conflict,
    Sick,
    Hook,
}

/// A branch in the world: what it says of each application, and which batch said it.
#[derive(Default)]
struct Branch {
    tip: u8,
    says: BTreeMap<String, String>,
    batches: BTreeMap<BatchId, u8>,
}

/// A push that is applied when nobody was faster.
struct Late {
    started: Started,
    tip: u8,
}

struct Model {
    world: World,
    branches: BTreeMap<(String, String), Branch>,
    in_flight: Vec<Started>,
    late: Vec<Late>,
    /// The newest intent of each application that wants one: where, and which.
    wanted: BTreeMap<u64, (usize, String)>,
    /// How often each text was committed.
    n_commits: BTreeMap<String, usize>,
    ended: BTreeSet<u64>,
    n_texts: u64,
}

impl Model {
    fn new(is_batched: bool) -> Self {
        Self {
            world: World::with(PublishSettings {
                is_batched,
                in_flight_max: 2,
                batch_trigger: 3,
                ..PublishSettings::new("argocd")
            }),
            branches: BTreeMap::new(),
            in_flight: Vec::new(),
            late: Vec::new(),
            wanted: BTreeMap::new(),
            n_commits: BTreeMap::new(),
            ended: BTreeSet::new(),
            n_texts: 0,
        }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Want { app, place } => {
                if self.world.room.is_under_way(AppId(app)) {
                    return;
                }
                self.n_texts += 1;
                let text = alloc::format!("{app}-{}", self.n_texts);
                let (url, branch) = PLACES[place];
                self.world.want_at(app, url, branch, &text);
                self.wanted.insert(app, (place, text));
                self.ended.remove(&app);
            }
            Step::Forget { app } => {
                self.world.room.forget(AppId(app));
                self.wanted.remove(&app);
            }
            Step::Wait { millis } => {
                self.world.now = self.world.now.after(Duration::from_millis(millis));
            }
            Step::Answer { which, how } => {
                if !self.in_flight.is_empty() {
                    let started = self.in_flight.remove(which % self.in_flight.len());
                    self.answer(&started, how);
                }
            }
        }
        self.turn();
    }

    fn turn(&mut self) {
        let started = self.world.turn();
        for one in started {
            self.on_started(one);
        }
        for outcome in self.world.outcomes() {
            self.on_outcome(outcome);
        }
    }

    fn on_started(&mut self, started: Started) {
        let place = place_of(&started);
        let mut busy: Vec<_> = self.in_flight.iter().map(place_of).collect();
        busy.push(place.clone());
        busy.retain(|one| one.0 == place.0);
        let is_alone = busy.len() == 1
            || (busy.iter().all(|one| !one.1.is_empty())
                && busy.iter().collect::<BTreeSet<_>>().len() == busy.len());
        assert!(is_alone, "one publish per branch: {busy:?} (S7)");
        if let Some(intents) = &started.intents {
            assert!(!intents.is_empty(), "a batch has intents");
            for (app, text) in intents {
                let wanted = self.wanted.get(&app.parse::<u64>().expect("a number"));
                assert_eq!(
                    wanted.map(|(_, text)| text),
                    Some(text),
                    "a batch takes the newest intent of who is still there (S13)"
                );
            }
        }
        self.in_flight.push(started);
        assert!(self.in_flight.len() <= 2, "the bound on publishes holds");
    }

    fn answer(&mut self, started: &Started, how: How) {
        self.apply_late(&place_of(started));
        let branch = self.branches.entry(place_of(started)).or_default();
        let Some(intents) = &started.intents else {
            let outcome = match how {
                How::Sick | How::Conflict => refused(RefusalKind::Transport),
                How::Honest
                | How::AppliedReplyLost
                | How::LostAppliedLater
                | How::RefusedReplyLost
                | How::Hook => GitOutcome::Inspected {
                    commit: branch.batches.get(&started.batch).copied().map(commit),
                },
            };
            self.tell(started, outcome);
            return;
        };
        let is_new = |(app, text): &(String, String)| branch.says.get(app) != Some(text);
        let ends: Vec<IntentEnd> = intents
            .iter()
            .map(|one| {
                if is_new(one) {
                    IntentEnd::Written
                } else {
                    IntentEnd::Unchanged
                }
            })
            .collect();
        let name = Box::from("main");
        let is_changed = ends.contains(&IntentEnd::Written);
        let tip = branch.tip;
        let outcome = match how {
            How::Conflict => refused(RefusalKind::Conflict),
            How::Sick => refused(RefusalKind::ServerFailed),
            How::Hook if is_changed => refused(RefusalKind::HookDeclined),
            _ if !is_changed => GitOutcome::Unchanged { branch: name, ends },
            How::Honest | How::Hook => {
                let commit = commit(self.apply(started));
                GitOutcome::Published {
                    commit,
                    branch: name,
                    relation: crate::git::job::Relation::Same,
                    messages: Vec::new(),
                    ends,
                }
            }
            How::AppliedReplyLost | How::LostAppliedLater | How::RefusedReplyLost => {
                let started = started.clone();
                if let How::AppliedReplyLost = how {
                    self.apply(&started);
                } else if let How::LostAppliedLater = how {
                    self.late.push(Late { started, tip });
                }
                GitOutcome::Unknown {
                    since: Some(commit(tip)),
                    branch: name,
                    detail: "lost".into(),
                    ends,
                }
            }
        };
        self.tell(started, outcome);
    }

    fn tell(&mut self, started: &Started, outcome: GitOutcome) {
        let is_known = self
            .world
            .room
            .handle_git(self.world.now, started.op, outcome);
        assert!(is_known);
    }

    /// Pushes that were on their way arrive, and are taken where the branch is as they found it.
    fn apply_late(&mut self, place: &(String, String)) {
        for late in core::mem::take(&mut self.late) {
            let is_here = place_of(&late.started) == *place;
            let is_first = self
                .branches
                .get(place)
                .is_some_and(|branch| branch.tip == late.tip);
            if !is_here {
                self.late.push(late);
            } else if is_first {
                self.apply(&late.started);
            }
        }
    }

    fn apply(&mut self, started: &Started) -> u8 {
        let branch = self.branches.entry(place_of(started)).or_default();
        branch.tip = branch.tip.wrapping_add(1);
        branch.batches.insert(started.batch.clone(), branch.tip);
        for (app, text) in started.intents.iter().flatten() {
            if branch.says.insert(app.clone(), text.clone()).as_ref() != Some(text) {
                *self.n_commits.entry(text.clone()).or_default() += 1;
            }
        }
        branch.tip
    }

    fn on_outcome(&mut self, outcome: PublishOutcome) {
        let PublishOutcome::Ended { app, end } = outcome else {
            return;
        };
        let app = app.0;
        assert!(self.ended.insert(app), "an intent ends once");
        let (place, text) = self
            .wanted
            .remove(&app)
            .expect("only who wants something is told");
        if matches!(
            end,
            PublishEnd::Published { .. } | PublishEnd::Unchanged { .. }
        ) {
            let said = self
                .branches
                .get(&place_name(PLACES[place].0, PLACES[place].1));
            let said = said.and_then(|branch| branch.says.get(&app.to_string()));
            assert_eq!(said, Some(&text), "told when the remote has it, {end:?}");
        }
    }

    /// Everything works from now on: it comes to rest, and everyone was told.
    fn settle(&mut self) {
        for _ in 0..1_000 {
            while let Some(started) = self.in_flight.pop() {
                self.answer(&started, How::Honest);
                self.turn();
            }
            match self.world.room.next_wakeup() {
                Some(at) => self.world.now = at,
                None => break,
            }
            self.turn();
        }
        assert!(self.world.room.is_idle(), "{:?}", self.world.room);
        assert!(self.world.room.turns.is_empty() && self.world.room.lanes.is_empty());
        assert_eq!(self.wanted, BTreeMap::new(), "everyone was told");
        for (text, n) in &self.n_commits {
            assert_eq!(*n, 1, "{text} was committed {n} times (S9)");
        }
    }
}

/// The repository and branch that a job is about, whatever the spelling; an empty branch is the default one.
fn place_of(started: &Started) -> (String, String) {
    place_name(&started.repository, started.target.base.as_deref())
}

fn place_name(url: &str, branch: Option<&str>) -> (String, String) {
    let host = if url.contains("a.test") { "a" } else { "b" };
    (host.into(), branch.unwrap_or_default().into())
}

fn step() -> impl Strategy<Value = Step> {
    let how = prop_oneof![
        4 => Just(How::Honest),
        1 => Just(How::AppliedReplyLost),
        1 => Just(How::LostAppliedLater),
        1 => Just(How::RefusedReplyLost),
        1 => Just(How::Conflict),
        1 => Just(How::Sick),
        1 => Just(How::Hook),
    ];
    prop_oneof![
        4 => (0_u64..8, 0..PLACES.len()).prop_map(|(app, place)| Step::Want { app, place }),
        1 => (0_u64..8).prop_map(|app| Step::Forget { app }),
        3 => (1_u64..3_000).prop_map(|millis| Step::Wait { millis }),
        4 => (0_usize..2, how).prop_map(|(which, how)| Step::Answer { which, how }),
    ]
}

proptest! {
    #![proptest_config(config(CASES))]
    #[test]
    fn nothing_is_lost_doubled_or_told_too_early(
        is_batched in any::<bool>(),
        steps in prop::collection::vec(step(), 1..80),
    ) {
        let mut model = Model::new(is_batched);
        for step in &steps {
            model.step(step);
        }
        model.settle();
    }
}
